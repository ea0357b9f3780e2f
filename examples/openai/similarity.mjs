/**
 * How alike two sentences are, by OpenAI's own client and a Millrace gateway.
 * Usage: node similarity.mjs [URL [KEY]]   (the client insists on a key; a gateway without keys takes any)
 */
import OpenAI from 'openai'

const sentences = ['How do I reset my password?', 'I forgot my login.']
const [url = 'http://127.0.0.1:8080', apiKey = 'none'] = process.argv.slice(2)

const client = new OpenAI({ baseURL: `${url}/v1`, apiKey })
const { data, usage } = await client.embeddings.create({ model: 'all-MiniLM-L6-v2', input: sentences })

// The vectors have length 1, so their dot product is the cosine of the angle between them.
const [a, b] = data.map(({ embedding }) => embedding)
const similarity = a.reduce((sum, value, i) => sum + value * b[i], 0)
process.stdout.write(`${similarity.toFixed(3)}  ${sentences.join('  ')}  (${usage.prompt_tokens} tokens)\n`)
