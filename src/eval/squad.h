/*
 * squad - whether an answer is the one that was wanted.
 *
 * Texts are compared as SQuAD's script does (Rajpurkar et al. 2016): small
 * letters, ASCII punctuation gone, the articles a, an, the gone, words apart
 * by single spaces.  Exact: the same words.  F1: of the words as multisets.
 * Contains: the wanted words stand in the answer, in their order, whole.
 * Against several wanted answers the best counts.
 */
#ifndef RAG_EVAL_SQUAD_H
#define RAG_EVAL_SQUAD_H

#include "base/buf.h"

#include <stdbool.h>

struct squad {
	double exact, f1;
	bool contains;
};

/* wanted: (n), n > 0.  RAG_ENOMEM. */
int squad_score(struct squad *out, const char *answer, const char *const *wanted, size_t n);
int squad_normalise(struct buf *out, const char *text);	/* replaces what out held */

#endif
