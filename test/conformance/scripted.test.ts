import { testConformance } from './node-test.js';

testConformance('scripted');
