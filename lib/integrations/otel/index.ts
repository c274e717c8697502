export { type Instrumentation, instrument } from './instrument.js';
export { withTraceContext } from './trace-context.js';
