/** Embeddings as they travel with `options.encoding: 'base64'`: half the bytes of JSON numbers, and exact. */

const bytesPerValue = 4

/**
 * @param base64 of little-endian float32
 * @throws TypeError when it is no base64, or no whole number of values
 */
export function decodeEmbedding(base64: string): Float32Array {
  const bytes = binaryOf(base64)
  if (bytes.length % bytesPerValue !== 0)
    throw new TypeError('Not an embedding: no whole number of float32 values')
  const view = new DataView(new ArrayBuffer(bytes.length))
  for (let i = 0; i < bytes.length; i++) view.setUint8(i, bytes.charCodeAt(i))
  const values = new Float32Array(bytes.length / bytesPerValue)
  for (let i = 0; i < values.length; i++) values[i] = view.getFloat32(i * bytesPerValue, true)
  return values
}

function binaryOf(base64: string): string {
  try {
    return atob(base64)
  } catch (error) {
    throw new TypeError('Not an embedding: no base64', { cause: error })
  }
}
