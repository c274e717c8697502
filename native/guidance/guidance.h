/* Which tokens may come next so that an output matches a grammar. Implemented in Rust over llguidance (src/lib.rs); opened
 * with dlopen. No function prints or lets a panic out; each may be called on any thread, a matcher on one at a time. */
#ifndef GUIDANCE_H_
#define GUIDANCE_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A vocabulary, ready to be matched. */
typedef struct Guidance Guidance;
/* A grammar, and how far an output of it is. */
typedef struct GuidanceMatcher GuidanceMatcher;

/* Gets what is wrong, cut to `size` with its final 0. */
typedef struct GuidanceError {
  char* text;
  size_t size;
} GuidanceError;

/* By the numbers of ExecutorGuide. */
enum {
  GUIDANCE_JSON = 0,           /* any JSON; no text */
  GUIDANCE_JSON_SCHEMA = 1,    /* a JSON schema */
  GUIDANCE_REGEX = 2,          /* in the syntax of Rust's regex crate, from start to end */
  GUIDANCE_GRAMMAR = 3,        /* llguidance's Lark */
  GUIDANCE_STRUCTURAL_TAG = 4, /* XGrammar's structural tags */
};

/* bytes:   of all tokens, back to back
 * offsets: [tokens + 1] token t is bytes[offsets[t], offsets[t + 1])
 * special: [tokens] 1 where the token is no text, else 0
 * end_ids: [end_id_count] tokens that end an output; at least one
 * Copies what it is given. Null where it fails. */
Guidance* guidance_open(const uint8_t* bytes, const uint32_t* offsets, const uint8_t* special, uint32_t tokens,
                        const uint32_t* end_ids, uint32_t end_id_count, GuidanceError* error);
void guidance_close(Guidance* guidance);

/* Null where the text is no such grammar, or too large a one. The matcher may outlive the vocabulary. */
GuidanceMatcher* guidance_compile(const Guidance* guidance, int kind, const char* text, GuidanceError* error);
GuidanceMatcher* guidance_clone(const GuidanceMatcher* matcher);
void guidance_free(GuidanceMatcher* matcher);

/* The output goes on with these tokens. 0, or -1 where the grammar does not allow them. */
int guidance_consume(GuidanceMatcher* matcher, const uint32_t* tokens, size_t count, GuidanceError* error);
/* Sets bit t % 32 of mask[t / 32] for each token that may come next: end ids where the output may end, and only they where
 * it must. 0, or -1 where the grammar is too hard. */
int guidance_mask(GuidanceMatcher* matcher, uint32_t* mask, size_t words, GuidanceError* error);

#ifdef __cplusplus
}
#endif

#endif /* GUIDANCE_H_ */
