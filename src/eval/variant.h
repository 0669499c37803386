/*
 * variant - what is measured: a way of searching, as it is written on a command line.
 *
 *	MODE[:KEY=VALUE]...	hybrid  fusion:weight=.5  hybrid:skip=second
 *				dense:chunks=sentences:model=bge-small-en-v1.5
 *				hybrid:turns=1  hybrid:expand=hyde
 *
 * A value may not hold a colon.  What is not said is the store's or the default.
 */
#ifndef RAG_EVAL_VARIANT_H
#define RAG_EVAL_VARIANT_H

#include "src/eval/cut.h"
#include "src/ragstone.h"

struct variant {
	char *name;		/* owned: as it is called in a table */
	char *mode;		/* owned: "hybrid", ... */
	char *model;		/* owned: the embedder; NULL: the run's */
	double weight;		/* 0: the store's */
	unsigned skip;		/* enum rag_skip */
	char *expand;		/* owned: as of rag_search_opts; NULL: no */
	bool turns;		/* questions come with the turn before them */
	enum cut cut;
};

/* base: what the rest is taken from when spec has no MODE ("weight=.5"); NULL: MODE must
 * be there.  cut: where spec says nothing.  RAG_EINVAL says what is wrong.  variant_release()
 * after a failure too. */
int variant_parse(struct variant *out, const char *spec, size_t len, const struct variant *base,
		 enum cut cut);
void variant_release(struct variant *c);		/* zeroed is allowed */
/* Whether it is by words alone in whole documents, which needs no embedder. */
bool variant_words_alone(const struct variant *c);
struct rag_search_opts variant_search(const struct variant *c);	/* of c's lifetime */

/* The variants of a run: owned, in the order of their columns. */
#define VARIANTS_MAX 16
struct variants {
	struct variant v[VARIANTS_MAX];
	size_t n;
};
/* "bm25,dense,hybrid:skip=late".  RAG_ELIMIT: more than there is room for. */
int variants_add(struct variants *all, const char *list, enum cut cut);
/* One more, which may be but a setting of the first ("weight=.5"). */
int variants_add_to(struct variants *all, const char *spec, enum cut cut);
/* The stages of the default pipeline, each with the ones before it. */
int variants_stages(struct variants *all, enum cut cut);
void variants_release(struct variants *all);

#endif
