/*
 * judged - a set of documents, questions and judgements, to measure by.
 *
 * A directory with corpus.jsonl ({id, title, text}), queries.jsonl ({id, text},
 * and where the set has them answers, answerable, written_for) and qrels.tsv (a
 * header line, then query, document, grade), the form that BEIR made common.
 * Without a corpus the documents are those that qrels.tsv names, and whoever
 * measures knows where they are.  What is malformed, named twice or not known
 * is an error with its file and line: figures would be wrong unseen.
 * Immutable after judged_open().
 */
#ifndef RAG_EVAL_JUDGED_H
#define RAG_EVAL_JUDGED_H

#include "base/hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct judged;

struct judged_doc {
	const char *id, *title, *text;	/* NUL-terminated; title "" where there is none */
	size_t title_len, text_len;
};

struct judged_query {
	const char *id, *text;
	size_t text_len;
	size_t n_relevant;		/* documents of a grade above 0 */
	const char *const *answers;	/* (n_answers) */
	size_t n_answers;
	const char *asked, *answered;	/* the turn before it, where the set has conversations; or NULL */
	bool answerable;		/* false where the set says that nothing answers it */
	long written_for;		/* the document that it was written against; -1: not known */
};

struct judged_grade {
	uint32_t query, doc;
	int grade;
	uint32_t line;			/* of qrels.tsv */
};

/* corpus: the set has one.  RAG_ENOENT names the missing file, RAG_EFORMAT file
 * and line.  The caller owns *out. */
int judged_open(struct judged **out, const char *dir, bool corpus);
void judged_close(struct judged *j);			/* NULL is allowed */

size_t judged_n_docs(const struct judged *j);
size_t judged_n_queries(const struct judged *j);	/* those without a relevant document too */
struct judged_doc judged_doc_at(const struct judged *j, size_t i);
struct judged_query judged_query_at(const struct judged *j, size_t i);
long judged_find(const struct judged *j, const char *doc_id);	/* its number; -1: none */
/* The query's judgements, by document: their number. */
size_t judged_grades(const struct judged_grade **out, const struct judged *j, size_t query);
int judged_grade_of(const struct judged *j, size_t query, size_t doc);	/* 0: not judged */
/* Of all documents with their ids and titles: names the corpus. */
const uint8_t *judged_hash(const struct judged *j);	/* HASH_LEN bytes */
/* What orders documents of equal score: a hash of the id, so that a file which
 * lists the relevant ones first gains nothing. */
uint64_t judged_tie(const char *doc_id);

#endif
