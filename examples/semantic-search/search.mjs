/**
 * Finds the paragraphs of a folder of texts that are nearest in meaning to a question.
 * Usage: [MILLRACE_URL=...] [MILLRACE_KEY=...] node search.mjs QUESTION [FOLDER]
 */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { decodeEmbedding, Millrace } from '@millrace/client'

const model = 'all-MiniLM-L6-v2'
const [question, folder = fileURLToPath(new URL('docs', import.meta.url))] = process.argv.slice(2)
if (!question) {
  process.stderr.write('Usage: node search.mjs QUESTION [FOLDER]\n')
  process.exit(2)
}
const { MILLRACE_URL: baseUrl = 'http://127.0.0.1:8080', MILLRACE_KEY: apiKey } = process.env
const millrace = new Millrace({ baseUrl, apiKey })

/** One job holds at most 2048 inputs; several smaller ones are computed by all workers at once. */
const jobInputs = 256
let known = 0

/** The vector of each text, in their order. What was asked for before comes from the cache. */
async function embed(texts) {
  const jobs = []
  for (let at = 0; at < texts.length; at += jobInputs) {
    const inputs = texts.slice(at, at + jobInputs)
    jobs.push(millrace.run({ model, inputs, options: { truncate: true, encoding: 'base64' } }))
  }
  const done = await Promise.all(jobs)
  for (const { metrics } of done) known += metrics.cache.hits
  return done.flatMap(({ output }) => output).map(vectorOf)
}

/** A job succeeds when one input did; one that failed says why in its own place. */
function vectorOf(result) {
  if (typeof result === 'string') return decodeEmbedding(result)
  throw new Error(`${result.error.code}: ${result.error.detail}`)
}

async function readParagraphs() {
  const names = (await readdir(folder)).filter((name) => /\.(txt|md)$/.test(name)).sort()
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts.flatMap((text, i) => {
    const paragraphs = text.split(/\n\s*\n/).map((one) => one.trim().replace(/\s+/g, ' '))
    return paragraphs.filter(Boolean).map((paragraph) => ({ name: names[i], paragraph }))
  })
}

function cosine(a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

const paragraphs = await readParagraphs()
const vectors = await embed(paragraphs.map(({ paragraph }) => paragraph))
process.stdout.write(`${paragraphs.length} paragraphs, ${known} of them known to the cache\n`)
const [asked] = await embed([question])
const ranked = paragraphs
  .map((one, i) => ({ ...one, score: cosine(asked, vectors[i]) }))
  .sort((a, b) => b.score - a.score)
for (const { score, name, paragraph } of ranked.slice(0, 3)) {
  process.stdout.write(`${score.toFixed(3)}  ${name}  ${paragraph.slice(0, 80)}\n`)
}
