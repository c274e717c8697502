import './cases/index.js';

export { testCases as testConformance } from './test-cases.js';
