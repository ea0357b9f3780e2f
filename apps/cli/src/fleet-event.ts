/** What happens in a fleet, as it is told to whoever shows it. */

export type OutputStream = 'stdout' | 'stderr'

export type FleetEvent =
  | { readonly type: 'ready'; readonly name: string; readonly detail: string; readonly tookMs: number }
  | { readonly type: 'line'; readonly name: string; readonly stream: OutputStream; readonly text: string }
  | {
      readonly type: 'restarting'
      readonly name: string
      readonly ending: string
      readonly delayMs: number
      readonly lastWords: readonly string[]
    }
  | { readonly type: 'waiting'; readonly seconds: number; readonly missing: readonly string[] }
  | { readonly type: 'note'; readonly text: string }
  | { readonly type: 'stopping'; readonly name: string }
  | { readonly type: 'killed'; readonly name: string; readonly afterMs: number }

export type OnFleetEvent = (event: FleetEvent) => void
