/** What reading images and recordings needs of the configuration: limits, and who may be called for them. */
import type { Config } from '@millrace/config'
import { AddressGuard } from '@millrace/webhooks/address-guard'
import { fetchFile } from '@millrace/webhooks/fetch-file'
import type { MediaContext } from './media-inputs.js'

/** @param stopping aborted when the gateway stops: what is being fetched then is given up */
export function mediaContext(config: Config, stopping: AbortSignal): MediaContext {
  const guard = new AddressGuard({
    allowCidrs: config.MEDIA_ALLOW_CIDRS,
    allowHttp: config.MEDIA_ALLOW_HTTP,
  })
  return {
    limits: {
      maxBytes: { image: config.MAX_IMAGE_BYTES, audio: config.MAX_AUDIO_BYTES },
      maxPixels: config.MAX_IMAGE_PIXELS,
      jobBytes: config.JOB_MEDIA_BYTES,
    },
    fetch: (url, maxBytes) =>
      fetchFile({ guard, url, maxBytes, limitMs: config.MEDIA_FETCH_TIMEOUT_MS, signal: stopping }),
  }
}
