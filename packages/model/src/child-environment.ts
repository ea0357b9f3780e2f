/**
 * What a forked child is started with: a small environment and a small heap. Settings are not read here; the parent's
 * environment is only passed on, and only what a runtime needs: secrets of the worker stay in the worker.
 */
const passedOn =
  /^(PATH|HOME|USER|TMPDIR|TMP|TEMP|TZ|LANG|LANGUAGE|SYSTEMROOT|WINDIR|APPDATA|LOCALAPPDATA|(LC|LD|DYLD|NODE|MALLOC|OMP|ORT|CUDA|NVIDIA|VK|SSL|HF)_.*|(HTTP|HTTPS|NO|ALL)_PROXY)$/i

/**
 * glibc keeps freed memory in one arena per thread, and stops returning large blocks once it has seen one. One arena and
 * fixed thresholds give back what loading and large batches used. A threshold of 128 kB gives back still more, but maps
 * and unmaps nearly every tensor: 25-60 % slower with the starter model on long texts and full batches.
 */
const allocator = {
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: String(4 << 20),
  MALLOC_MMAP_THRESHOLD_: String(2 << 20),
}

export function childEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => passedOn.test(name))
  return { ...allocator, ...Object.fromEntries(inherited) }
}

/** A model process makes little garbage: a young generation of 1 MB is enough. */
export const childNodeOptions = ['--max-semi-space-size=1', '--expose-gc']
