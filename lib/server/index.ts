export type { ServedRequest } from './exchange.js';
export { createHandler, type Handler, type HandlerOptions } from './handler.js';
export type { Models, ServedAdapter } from './models.js';
