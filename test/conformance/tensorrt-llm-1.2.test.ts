import { testConformance } from './node-test.js';

testConformance('tensorrt-llm-1.2');
