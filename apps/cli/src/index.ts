/** The launcher as a library: for the end-to-end tests. */
export { type Fleet, type FleetOptions, startFleet } from './fleet.js'
