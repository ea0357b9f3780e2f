/** From vitest's JSON report to one line of counts. Pure. */

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 */

/**
 * @param {unknown} report vitest's JSON report, or undefined when it wrote none
 * @param {number} status vitest's exit status
 * @returns {Counts} `failed` is at least 1 whenever the status is not 0
 */
export function countTests(report, status) {
  const counts = { passed: 0, failed: 0, skipped: 0 }
  for (const file of report?.testResults ?? []) {
    for (const { status: outcome } of file.assertionResults) {
      if (outcome === 'passed') counts.passed += 1
      else if (outcome === 'failed') counts.failed += 1
      else counts.skipped += 1
    }
    // A file that could not be loaded, or whose hooks failed, has no failed test of its own.
    const failedTests = file.assertionResults.some(({ status: outcome }) => outcome === 'failed')
    if (file.status === 'failed' && !failedTests) counts.failed += 1
  }
  // Unhandled errors, no test files, a crash of vitest itself.
  if (status !== 0 && counts.failed === 0) counts.failed = 1
  return counts
}

/** @param {Counts} counts */
export function countsLine({ passed, failed, skipped }) {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}
