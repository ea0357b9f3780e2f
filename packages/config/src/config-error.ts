/** All that is wrong with a configuration, in words of its own names. */
import type { z } from 'zod'

export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly faults: readonly string[]
  constructor(faults: readonly string[]) {
    super(
      `The configuration has ${faults.length} fault(s):\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    )
    this.faults = faults
  }
}

/** One line for each fault, with its path. */
export function issuesOf(error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => sayIssue(issue, []))
}

/** A key's fault and a union's fault hide what is wrong inside them: that is what a user has to read. */
function sayIssue(issue: z.core.$ZodIssue, above: readonly PropertyKey[]): string[] {
  const path = [...above, ...issue.path]
  if (issue.code === 'invalid_key') return issue.issues.flatMap((inner) => sayIssue(inner, path))
  if (issue.code === 'invalid_union') {
    const [closest] = [...issue.errors].sort((a, b) => a.length - b.length)
    if (closest) return closest.flatMap((inner) => sayIssue(inner, path))
  }
  return [`${path.map(String).join('.') || '(top)'}: ${issue.message}`]
}
