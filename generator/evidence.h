/*
 * evidence - which characters of which passage support each sentence of an answer.
 *
 * Measured here, never asked of the model.  Words are stemmed and weighed by
 * their rarity among the passages' sentences; stop words weigh nothing,
 * numbers and names more.  For each sentence of the answer, each run of one to
 * three sentences of a passage is scored: how much it holds of what the answer
 * adds to the question, times how much of the question it (with its title and
 * heading) holds; a short answer copied from somewhere is found everywhere,
 * so the question must be there too.  A number or a name of the answer that is
 * in neither the run nor the question vetoes.  The best run of each passage is
 * its support, if strong enough.  Words only: it can't tell a negation.
 * Deterministic.  Time: linear in the passages' text for each sentence.
 */
#ifndef RAG_GENERATOR_EVIDENCE_H
#define RAG_GENERATOR_EVIDENCE_H

#include <stddef.h>

struct passage;
struct support;

#define EVIDENCE_MIN 0.55f	/* weaker is no support: calibrated, see generator/README.md */
#define EVIDENCE_MAX 3		/* supports of one sentence, strongest first */

/* which: (n_which) indices into passages.  *out: (*n) owned by the caller
 * (mem_free), in sentence order; NULL with *n = 0 when there is none.
 * Supports weaker than `min` are left out. */
int evidence_find(struct support **out, size_t *n, const char *question,
		  const char *answer, size_t answer_len, const struct passage *passages,
		  const size_t *which, size_t n_which, float min);

#endif
