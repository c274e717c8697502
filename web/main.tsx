import { effect } from '@preact/signals';
import { render } from 'preact';
import { loadModels } from './models.js';
import { theme } from './settings.js';
import { App } from './view/app.js';

// The script is in the head and blocks it, so that the first paint has the chosen colours.
effect(() => {
  if (theme.value === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.value;
});

document.addEventListener('DOMContentLoaded', () => {
  render(<App />, document.body);
  void loadModels();
});
