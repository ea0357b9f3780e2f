import { standIn } from './child.mjs'

standIn('gateway', Number(process.env.PORT))
