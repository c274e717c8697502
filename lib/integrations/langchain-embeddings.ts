import { Embeddings } from '@langchain/core/embeddings';
import type { EmbedOptions, LLM } from '../index.js';

/** What embeddings are made of: an LLM, and options of `llm.embed`. */
export interface NodeTensorRTLLMEmbeddingsFields extends Pick<EmbedOptions, 'pooling' | 'normalize'> {
  /** It stays yours to close. */
  llm: LLM;
}

/** LangChain's embeddings over an LLM. */
export class NodeTensorRTLLMEmbeddings extends Embeddings {
  readonly llm: LLM;
  readonly #options: EmbedOptions;

  constructor({ llm, pooling, normalize }: NodeTensorRTLLMEmbeddingsFields) {
    super({}); // the engine queues requests itself
    this.llm = llm;
    this.#options = { pooling, normalize };
  }

  /** Texts that are searched. */
  override async embedDocuments(documents: string[]): Promise<number[][]> {
    const { embeddings } = await this.llm.embed(documents, this.#options);
    return embeddings.map((embedding) => [...embedding]);
  }

  /** A text that is searched for. */
  override async embedQuery(document: string): Promise<number[]> {
    const [vector] = await this.embedDocuments([document]);
    return vector as number[];
  }
}
