/**
 * Which Node releases Millrace runs on, and what to tell the rest. Plain syntax that any Node with ES modules parses,
 * so that an old one prints this message and not a syntax error.
 */

/** Keep in step with `engines` in package.json (a test compares them). */
export const supportedNodes = '^20.19.0 || ^22.12.0 || >=24.0.0'

/**
 * @param {string} version as in `process.versions.node`
 * @returns {string | undefined} what is wrong with it, in words for the user; undefined when it is fine
 */
export function nodeFault(version) {
  const parts = version.split('.')
  const major = Number(parts[0])
  const minor = Number(parts[1])
  if (major >= 24 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19)) return undefined
  return [
    `Millrace needs Node 20.19 or later, 22.12 or later, or 24 and above; this is Node ${version}.`,
    'Install a current release from https://nodejs.org (or `nvm install 24`, `fnm install 24`), then try again.',
  ].join('\n')
}

/** Ends the process with the message when this Node is not supported. */
export function requireSupportedNode() {
  const fault = nodeFault(process.versions.node)
  if (fault === undefined) return
  console.error(`\n${fault}\n`)
  process.exit(1)
}
