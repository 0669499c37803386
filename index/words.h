/*
 * words - chunks by the words of a question: BM25 over the store's postings.
 *
 * S. Robertson and H. Zaragoza, The Probabilistic Relevance Framework: BM25 and
 * Beyond, 2009, with Lucene's idf and without the constant factor k1 + 1:
 *   weight * ln(1 + (N - df + .5) / (df + .5)) * tf / (tf + k1 (1 - b + b len / mean))
 * A chunk is its title, heading path and text; len counts its words but stop
 * words.  df, N and the mean are those of the visible chunks at this moment,
 * whatever was deleted, and however documents came in batches: same visible
 * chunks, same bits.  Postings are read where they are mapped; nothing is loaded.
 * Cost: about 1 ns a posting of the question's terms, and 4 bytes a chunk of
 * one block.  One thread at a time for a query; it ends before its snapshot.
 */
#ifndef RAG_INDEX_WORDS_H
#define RAG_INDEX_WORDS_H

#include "index/ranges.h"
#include "index/store.h"

#include <stddef.h>
#include <stdint.h>

struct words_query;

/* What the question asks for: its words, each as often as it occurs; "words in quotes" as
 * a phrase beside its words; and prefix*, which stands for all words that begin so, as
 * one.  Stop words count only where the question has nothing else.  RAG_ENOENT:
 * no words in the store yet (store_words()). */
int words_query_new(struct words_query **out, struct store_snap *v, const char *text, size_t n);
/* Adds the words of a text, each of them once, with this weight (an occurrence in the question: 1). */
int words_query_add(struct words_query *q, const char *text, size_t n, float weight);
void words_query_free(struct words_query *q);	/* NULL is allowed */

struct words_hit {
	uint64_t id;
	float score;		/* > 0 */
};
/* out: (k); the best *n <= k visible chunks that hold a term, best first, equal ones by id.
 * allowed: settled; NULL: all. */
int words_search(struct words_hit *out, size_t *n, struct words_query *q, size_t k, const struct ranges *allowed);
/* out: (n); 0 for a chunk that holds no term, or is none. */
int words_scores(float *out, struct words_query *q, const uint64_t *chunks, size_t n);

enum words_kind { WORDS_WORD, WORDS_STOP, WORDS_PHRASE, WORDS_PREFIX };
struct words_term {
	const char *text;	/* as it is looked for; NUL-terminated, the query's */
	enum words_kind kind;
	float weight;		/* a stop word's is 0 unless there is nothing else */
	float idf;
	uint64_t df;		/* visible chunks that hold it */
	uint32_t tf;		/* in the chunk */
	float score;		/* its part of the chunk's */
};
/* All terms, and what they give to a chunk (0: to none).  The caller frees *out with mem_free(). */
int words_terms(struct words_term **out, size_t *n, struct words_query *q, uint64_t chunk);
/* The idf of one word in the query's store, the largest of its parts; that of a word
 * nobody has is the largest there is; 0 of a stop word and of what is no word. */
int words_idf(float *out, struct words_query *q, const char *word, size_t n);

#endif
