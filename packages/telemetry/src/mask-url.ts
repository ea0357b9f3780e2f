/** Owns: making text safe to print: passwords in URLs, bearer keys, and what a JSON error quotes of a body. */

const secretParameter = /pass|secret|token|key/i

/** `redis://user:***@host:6379/0`. Text that is no URL comes back with anything like a password masked. */
export function maskUrl(url: string): string {
  let parsed: URL
  try {
    parsed = new URL(url)
  } catch {
    return scrubText(url)
  }
  if (parsed.password !== '') parsed.password = '***'
  for (const name of new Set(parsed.searchParams.keys())) {
    if (secretParameter.test(name)) parsed.searchParams.set(name, '***')
  }
  return parsed.href
}

/**
 * Masks in any text, also in a whole serialised log line: the password of a URL, a bearer or basic credential, and the
 * piece of the body that `JSON.parse` puts into its message.
 */
export function scrubText(text: string): string {
  let clean = text
  if (clean.includes('://')) {
    clean = clean.replace(/([a-z][a-z0-9+.-]*:\/\/[^\s/?#:@"]*:)[^\s"]*(?=@)/gi, '$1***')
  }
  if (/bearer|basic/i.test(clean)) {
    clean = clean.replace(/\b(bearer|basic)\s+[\w.~+/=-]{8,}/gi, '$1 ***')
  }
  if (clean.includes('JSON')) {
    clean = clean.replace(
      /Unexpected (?:token|string|number|identifier)\b.*?(?= (?:is not valid JSON|in JSON at))/gs,
      quiet,
    )
  }
  return clean
}

const quiet = 'Unexpected token ***'
