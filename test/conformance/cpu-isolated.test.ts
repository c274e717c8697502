import { testConformance } from './node-test.js';

testConformance('cpu-isolated');
