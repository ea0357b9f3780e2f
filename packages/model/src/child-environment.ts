/**
 * What a forked child is started with: a small environment and a small heap. Settings are not read here; the parent's
 * environment is only passed on, and only what a runtime needs: secrets of the worker stay in the worker.
 */
const passedOn =
  /^(PATH|HOME|USER|TMPDIR|TMP|TEMP|TZ|LANG|LANGUAGE|SYSTEMROOT|WINDIR|APPDATA|LOCALAPPDATA|(LC|LD|DYLD|NODE|MALLOC|GLIBC|OMP|ORT|CUDA|NVIDIA|VK|SSL|HF)_.*|(HTTP|HTTPS|NO|ALL)_PROXY)$/i

/**
 * What a forward pass frees has to leave the heap again, which glibc only cuts at its top. By default one small freed
 * block, kept for later by a thread's own cache, pins all that lies below it: up to 30 MB of a process of 50. Without that
 * cache, in one arena, and with fixed thresholds (by default the first large block that is freed raises both) the heap
 * keeps some 8 MB beyond what is alive, enough for a usual batch: cut at 4, every pass maps and unmaps its tensors.
 */
const allocator = {
  GLIBC_TUNABLES: 'glibc.malloc.tcache_count=0',
  MALLOC_ARENA_MAX: '1',
  MALLOC_TRIM_THRESHOLD_: String(8 << 20),
  MALLOC_MMAP_THRESHOLD_: String(4 << 20),
}

export function childEnvironment(): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => passedOn.test(name))
  return { ...allocator, ...Object.fromEntries(inherited) }
}

/** A model process makes little garbage: a young generation of 1 MB is enough. */
export const childNodeOptions = ['--max-semi-space-size=1', '--expose-gc']
