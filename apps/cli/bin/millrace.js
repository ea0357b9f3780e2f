#!/usr/bin/env node
// Kept apart from dist: npm links and marks a command before the project is built.
import '../dist/main.js'
