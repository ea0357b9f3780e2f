/** Colours for a terminal, and none for anything else. */
import { styleText } from 'node:util'

type Brush = (text: string) => string
export type Paint = Readonly<Record<'dim' | 'bold' | 'green' | 'yellow' | 'red' | 'cyan', Brush>>

const same: Brush = (text) => text
export const plainPaint: Paint = { dim: same, bold: same, green: same, yellow: same, red: same, cyan: same }

function brush(style: keyof Paint): Brush {
  return (text) => (text === '' ? '' : styleText(style, text))
}

export const terminalPaint: Paint = {
  dim: brush('dim'),
  bold: brush('bold'),
  green: brush('green'),
  yellow: brush('yellow'),
  red: brush('red'),
  cyan: brush('cyan'),
}
