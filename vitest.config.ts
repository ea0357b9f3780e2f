import { defineConfig } from 'vitest/config'

// Three suites, by what they need: unit (nothing), int (a real Redis each), e2e (the whole fleet, built). One after the
// other; e2e, and what measures time beside it (*.serial.test.ts), one file at a time.
const exclude = ['**/node_modules/**', '**/dist/**']
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          // Two thirds of its time went into starting a process for each file.
          isolate: false,
          include: ['{apps,packages}/*/src/**/*.test.ts', 'bench/src/**/*.test.ts', 'scripts/**/*.test.mjs'],
          exclude: [...exclude, '**/*.int.test.ts', '**/*.serial.test.ts'],
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'int',
          include: ['{apps,packages}/*/src/**/*.int.test.ts'],
          exclude,
          sequence: { groupOrder: 1 },
          testTimeout: 30_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts', '{apps,packages}/*/src/**/*.serial.test.ts'],
          exclude,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 120_000,
          fileParallelism: false,
        },
      },
    ],
  },
})
