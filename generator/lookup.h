/*
 * lookup - what an answer may say next, drafted from what stands before it.
 *
 * An answer from passages repeats their words.  Where its last tokens occur
 * earlier, in the prompt or in itself, the tokens behind that place are a
 * draft: the decoder reads them in one evaluation with the token at hand,
 * which costs little more than that token alone, as both read the weights
 * once.  What the sampler then picks decides, token by token, so the ids are
 * those of decoding without drafts.  (Saxena, "Prompt Lookup Decoding", 2023;
 * Leviathan et al., "Fast Inference from Transformers via Speculative
 * Decoding", ICML 2023, for the expected gain.)
 *
 * How long a draft is depends on what was measured: how often tokens behind a
 * match of that length were right, and how long evaluations of several tokens
 * take.  Where nothing is to be gained there is no draft.  And a draft may
 * cost no more than the answer's drafts have gained so far, and half a token's
 * time: that is what an answer can lose.
 * One thread at a time.
 */
#ifndef RAG_GENERATOR_LOOKUP_H
#define RAG_GENERATOR_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#define LOOKUP_MAX 15		/* tokens of a draft */

enum lookup_mode {
	LOOKUP_AUTO,		/* where it pays */
	LOOKUP_OFF,
	LOOKUP_ALWAYS,		/* wherever something matches: for tests */
};

enum { LOOKUP_SIZES = 5, LOOKUP_CLASSES = 5 };

struct lookup {
	double seconds[LOOKUP_SIZES];	/* of evaluating 1, 2, 4, 8, 16 tokens; 0: not yet known */
	double right[LOOKUP_CLASSES], tried[LOOKUP_CLASSES];	/* drafted tokens by length of the match */
	size_t class;			/* of the last draft */
	int32_t expected;		/* the next token as the match has it, where none was drafted; or -1 */
	double credit;			/* tokens' times that drafts may cost */
};

void lookup_init(struct lookup *l);
void lookup_begin(struct lookup *l);	/* an answer: what others have gained is not at stake */

/* Up to `most` tokens that may follow id[0 .. n-1]; 0: better none. */
size_t lookup_draft(int32_t out[LOOKUP_MAX], struct lookup *l, enum lookup_mode mode,
		    const int32_t *id, size_t n, size_t most);

/* Of the last draft's n tokens the first `right` ones were picked. */
void lookup_learn(struct lookup *l, size_t n, size_t right);

/* An evaluation of n tokens took so long. */
void lookup_time(struct lookup *l, size_t n, double seconds);

#endif
