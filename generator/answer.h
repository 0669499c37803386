/*
 * answer - a question and its passages in, a sentence-by-sentence supported answer out.
 *
 * Passages go into the token budget best first; what does not fit is trimmed
 * or left out and said so.  The prompt is written in the model's own chat
 * format with every piece of foreign text tokenised as text.  The decoded
 * answer is cut into sentences; evidence_find() looks for the passage
 * characters that support each one.  No sentence supported, or no passage
 * relevant: abstained.  Knows passages, not the store.  One thread at a time.
 */
#ifndef RAG_GENERATOR_ANSWER_H
#define RAG_GENERATOR_ANSWER_H

#include "base/buf.h"
#include "base/progress.h"
#include "generator/lookup.h"
#include "generator/sample.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cosine of MiniLM; what is below seldom has to do with the question: generator/README.md has the
 * figures. */
#define ANSWER_MIN_SCORE 0.30f

struct decoder;
struct par;
struct answerer;	/* a decoder with its KV cache, kept between questions for prefix reuse */

struct passage {
	const char *title, *heading;	/* "" if none */
	const char *text;
	size_t len;
	float score;			/* cosine to the question */
};

struct turn {
	const char *question, *answer;
};

struct answer_opts {
	struct sample_opts sample;
	int max_tokens;			/* of the answer */
	float min_score;		/* passages below are not relevant: none left, abstain without decoding */
	/* Streamed text with its markers, whole UTF-8; not 0: stop and keep.  Starts when a
	 * sentence has found support: an answer without any is never shown. */
	int (*token)(void *arg, const char *text, size_t len);
	void *token_arg;
	const struct progress *progress;	/* stages "prefill", "decode" */
	enum lookup_mode lookup;	/* changes the time only */
};

struct support {
	size_t sentence_start, sentence_end;	/* bytes of the answer */
	size_t passage;				/* index into the passages given */
	size_t start, end;			/* bytes of that passage's text */
	float strength;				/* 0 .. 1 */
};

struct answer_stats {
	size_t prompt_tokens, cached_tokens;	/* the latter of the former */
	size_t answer_tokens;
	size_t drafted_tokens;		/* guessed from what stands before them (lookup.h) */
	size_t accepted_tokens;		/* of these: evaluations that were saved */
	bool cut;			/* max_tokens, room or callback ended it */
	double seconds_prefill, seconds_decode;
};

struct answer {
	char *text;			/* owned, NUL-terminated; "" when abstained without decoding */
	bool abstained;
	const char *reason;		/* static; "" */
	struct support *support;	/* owned (n_support), in sentence order */
	size_t n_support;
	size_t *used;			/* owned (n_used): passages that were in the prompt, in order */
	size_t n_used;
	size_t trimmed;			/* index of the passage that was cut, or SIZE_MAX */
	struct answer_stats stats;
};

/* d and par are borrowed and must outlive *out. */
int answerer_new(struct answerer **out, const struct decoder *d, struct par *par);
void answerer_free(struct answerer *a);

/* RAG_EUNSUP when the model's chat template is none that we know ("unknown
 * chat template of 'NAME'"); RAG_ELIMIT when the question alone does not fit the context, RAG_EINVAL for
 * an empty one.  RAG_ECANCEL only before the first token is decoded. */
int answer_make(struct answer *out, struct answerer *a, const char *question,
		const struct passage *passages, size_t n_passages,
		const struct turn *turns, size_t n_turns, const struct answer_opts *opts);
void answer_release(struct answer *a);
/* Appends the text with the numbers of the passages that support each sentence
 * behind it ("[1]": the first of used), as it was streamed. */
int answer_mark(struct buf *out, const struct answer *a);

/* The bare model: chat format around prompt unless raw. *out is a NUL-terminated string the caller frees by mem_free. */
int answerer_generate(char **out, struct answer_stats *stats, struct answerer *a,
		      const char *prompt, bool raw, const struct answer_opts *opts);

#endif
