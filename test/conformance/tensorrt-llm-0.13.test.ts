import { testConformance } from './node-test.js';

testConformance('tensorrt-llm-0.13');
