import { standIn } from './child.mjs'

standIn('courier', 0)
