import { computed, signal } from '@preact/signals';
import { listModels, type Model } from './api/client.js';
import { Failure } from './api/failure.js';
import { apiKey, preferredModel } from './settings.js';

/** What the server has; `needs-key` until it gets a right one. */
export type Models =
  | { readonly state: 'loading' | 'needs-key'; readonly list: readonly Model[] }
  | { readonly state: 'ready'; readonly list: readonly Model[] }
  | { readonly state: 'failed'; readonly list: readonly Model[]; readonly failure: string };

export const models = signal<Models>({ state: 'loading', list: [] });

export const chosenModel = computed(() => {
  const { list } = models.value;
  return list.find(({ id }) => id === preferredModel.value)?.id ?? list[0]?.id;
});

export async function loadModels(): Promise<void> {
  const { list } = models.value;
  try {
    models.value = { state: 'ready', list: await listModels(apiKey.value) };
  } catch (error) {
    if (error instanceof Failure && error.needsKey) models.value = { state: 'needs-key', list };
    else models.value = { state: 'failed', list, failure: error instanceof Error ? error.message : String(error) };
  }
}
