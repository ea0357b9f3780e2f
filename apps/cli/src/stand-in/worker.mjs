import { standIn } from './child.mjs'

standIn('worker', 0)
