/*
 * cut - a judged set's documents as the chunks that go into a store.
 *
 *   windows    whole where title and text fit CUT_WHOLE tokens, else windows of
 *              CUT_WINDOW of the text, a last one under CUT_LEAST dropped: how
 *              embedders are usually measured, and what the figures that we
 *              compare with were made from
 *   document   one chunk each, which an embedder cannot take: for words
 *   sentences  as ingest cuts (ingest/chunk.h)
 * The title goes before each chunk, as in any ingest.  Texts are borrowed from
 * the set.  Reentrant.
 */
#ifndef RAG_EVAL_CUT_H
#define RAG_EVAL_CUT_H

#include "src/eval/judged.h"
#include "src/ragstone.h"

struct embed;

enum cut { CUT_DEFAULT, CUT_WINDOWS, CUT_DOCUMENT, CUT_SENTENCES };
extern const char *const cut_names[];	/* by enum cut; "" for CUT_DEFAULT */
int cut_parse(enum cut *out, const char *name, size_t len);	/* RAG_EINVAL */

#define CUT_URI "set:"		/* and the document's id */
#define CUT_VERSION "1"		/* another way of cutting, another number: kept stores go by it */
#define CUT_WHOLE 256		/* tokens, the sequence's two special ones counted */
#define CUT_WINDOW 200
#define CUT_LEAST 20

bool cut_is_empty(const struct judged_doc *d);	/* it has no chunk, and must not be given */

/* The chunks of n documents, by their numbers.  e: counts tokens; only CUT_DOCUMENT
 * goes without.  The caller owns *out. */
struct cut_docs;
int cut_documents(struct cut_docs **out, const struct judged *j, const size_t *docs, size_t n,
		  enum cut cut, const struct embed *e);
const struct rag_document_in *cut_in(const struct cut_docs *c);	/* (n) */
void cut_free(struct cut_docs *c);		/* NULL is allowed */

#endif
