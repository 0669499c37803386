/*
 * prompt - a question, its passages and the turns before it, as token ids.
 *
 * The wording and the chat format are ours and may hold control strings; every
 * piece of foreign text (passage, title, heading, question, history) is
 * tokenised apart, as text.  Invariant: no id that comes from foreign text is a
 * control token; where a tokenizer would still give one (a user-defined token
 * that matches in plain text), the text is cut inside it and tokenised again.
 *
 * Budget: first the wording and the question, then the newest turns in at most
 * a quarter of it, then passages in the order given.  One passage is cut at a
 * sentence's end where it doesn't fit; the others go in whole or not at all.
 */
#ifndef RAG_GENERATOR_PROMPT_H
#define RAG_GENERATOR_PROMPT_H

#include <stddef.h>
#include <stdint.h>

struct chat_format;
struct passage;
struct tok;
struct turn;

struct prompt {
	int32_t *id;		/* (len) owned */
	size_t len;
	size_t *used;		/* (n_used) owned: passages that are in, in order */
	size_t n_used;
	size_t trimmed;		/* index of the passage that was cut, or SIZE_MAX */
	size_t trimmed_len;	/* bytes of its text that are in */
	size_t n_turns;		/* the last n_turns of those given are in */
};

/* n_passages may be 0.  The prompt is at most `budget` tokens.  RAG_ELIMIT
 * "question has N tokens, the context holds M" when it doesn't fit, or when
 * there are passages and not a sentence of any fits beside it. */
int prompt_build(struct prompt *out, const struct chat_format *f, const struct tok *t,
		 const char *question, const struct passage *passages, size_t n_passages,
		 const struct turn *turns, size_t n_turns, size_t budget);

/* The bare model: text as the user's message behind the format's own system
 * message, or, with f NULL, just as it is: BOS where the model wants it, and
 * control strings in it are control tokens, as its writer is the user. */
int prompt_plain(struct prompt *out, const struct chat_format *f, const struct tok *t,
		 const char *text, size_t budget);

void prompt_release(struct prompt *p);	/* zeroed is allowed */

#endif
