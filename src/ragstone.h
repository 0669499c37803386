/*
 * ragstone.h - documents in, cited answers out: the library.
 *
 * A store is a directory.  rag_open() attaches to it, rag_ingest_*() puts
 * documents in, rag_search() finds passages, rag_ask() answers from them and
 * says which characters of which document support each sentence.
 *
 * Errors: a call returns RAG_OK or a negative enum rag_err; rag_error() is the
 *   message of the last failure on the calling thread.  What a failed call
 *   would have handed out is NULL.  RAG_ENOMEM, RAG_EIO and RAG_ECORRUPT can
 *   come from any call and are not named again at each.
 * Ownership: what a call hands out is a copy that the caller gives back with
 *   the matching *_free(); it stays valid after rag_close().  Arguments are
 *   read during the call only.
 * Text: UTF-8, byte offsets.  `start` and `end` refer to the document's
 *   extracted text as rag_document_text() gives it.
 * Threads: a struct rag is used by one thread at a time; any number of handles,
 *   threads and processes may read a store while one writes.  A callback does
 *   not use the handle that calls it, but for rag_cancel().
 * ABI: structs named *_opts begin with their size: set them with their _INIT
 *   macro (RAG_EINVAL without); members are only ever added at the end, and 0
 *   or NULL always means "as before".  NULL for a struct is the same as its
 *   _INIT.  Result structs may grow at the end too: do not copy or allocate
 *   them yourself, and walk arrays of them by the pointers given.  The three that a
 *   caller does allocate, rag_chunk_in, rag_document_in and rag_ingest_totals, never change.
 */
#ifndef RAGSTONE_H
#define RAGSTONE_H

#include "base/errors.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RAG_API __attribute__((visibility("default")))

struct rag;

/* "0.1.0"; and the same with the versions of what it was built with. */
RAG_API const char *rag_version(void);
RAG_API const char *rag_version_full(void);
/* The last failure's message on this thread; "" if there was none.  Valid until the thread's next call. */
RAG_API const char *rag_error(void);
/* "no such file", ... for a code. */
RAG_API const char *rag_error_name(int code);

/* ---- progress and cancelling ------------------------------------------ */

struct rag_progress {
	const char *stage;	/* "scan", "extract", "embed", "commit", "prefill", ... */
	const char *what;	/* the document in hand, or NULL */
	uint64_t done, total;	/* total 0: not known */
};

/* Called on the calling thread about ten times a second during a long call.
 * Not 0: the call stops soon, returns RAG_ECANCEL and leaves the store as if
 * the documents not yet reported had never been given. */
typedef int rag_progress_fn(void *arg, const struct rag_progress *p);

/* ---- stores ------------------------------------------------------------ */

struct rag_opts {
	size_t size;
	const char *store;	/* directory; NULL: $RAGSTONE_STORE, else ~/.local/share/ragstone/default;
				 * "": none, for rag_embed() and rag_generate() alone */
	const char *embedder;	/* a model's name or path; NULL: the store's own, or all-minilm-l6-v2 for a new
				 * one; "": none, an ingest keeps words alone */
	const char *generator;	/* NULL: $RAGSTONE_MODEL, else qwen2.5-coder-0.5b-instruct */
	const char *models;	/* directory of models; NULL: ${RAGSTONE_CACHE:-~/.cache/ragstone}/models */
	int threads;		/* 0: one a processor */
	int create;		/* make the store if there is none */
	int read_only;		/* never take the writer's lock */
	rag_progress_fn *progress;
	void *progress_arg;
	const char *precision;	/* of the embedder: "f32" or "int8"; NULL: the store's own, for a new
				 * one $RAGSTONE_PRECISION, else int8 */
	const char *reranker;	/* a cross-encoder's name or path: a BERT with one label (model.safetensors)
				 * that reads the best passages with the question; NULL: none */
};
#define RAG_OPTS_INIT { sizeof(struct rag_opts), NULL, NULL, NULL, NULL, 0, 0, 0, NULL, NULL, NULL, NULL }

/* Models are opened when first needed: a handle is cheap.  RAG_ENOENT: no such
 * store, or no such embedder; RAG_EVERSION: it was made by a newer ragstone;
 * RAG_EFORMAT: the directory holds something else.  With create, an embedder that
 * is named is opened at once (before anything is made): RAG_EMISMATCH when the
 * store's vectors are another's. */
RAG_API int rag_open(struct rag **out, const struct rag_opts *opts);
RAG_API void rag_close(struct rag *r);		/* NULL is allowed */
RAG_API void rag_set_progress(struct rag *r, rag_progress_fn *fn, void *arg);
/* Asks the call that runs on another thread (or is interrupted by a signal) to
 * stop with RAG_ECANCEL, or the next one if none runs: a signal that comes just
 * before is not lost.  An answer that has begun is kept.  Async-signal-safe. */
RAG_API void rag_cancel(struct rag *r);

/* The generator's name or path, as it will be used; and another one from the
 * next question on (NULL: the default one).  It is opened at once; when that
 * fails, RAG_ENOENT, RAG_EFORMAT or RAG_EUNSUP, the one before goes on.  The
 * pointer lives until the next rag_use_generator(). */
RAG_API const char *rag_generator(const struct rag *r);
RAG_API int rag_use_generator(struct rag *r, const char *generator);

struct rag_status {
	const char *store, *embedder;	/* "" when the store has no vectors yet */
	uint64_t documents, chunks, text_bytes, disk_bytes, generation;
	uint32_t dim, format;
	uint64_t vectors;	/* chunks that have one: fewer than chunks after an ingest without a model */
	double weight;		/* of the vectors in a fusion */
	const char *language;	/* of the words' stemmer, or "none"; "" while they are not indexed yet */
	int stop_words;		/* 1: stop words do not count */
	double k1, b;		/* of BM25 */
};
/* The weight of the vectors in a fusion that searches use from now on, 0 to 1: kept in
 * the store.  RAG_EBUSY and RAG_EDENIED as for ingesting. */
RAG_API int rag_set_weight(struct rag *r, double weight);

/* How the store's words are analysed and scored, from now on.  Another language, or other
 * stop words: all are indexed anew before it returns.  RAG_EUNSUP names the languages there
 * are; RAG_EINVAL: k1 or b out of range. */
struct rag_words {
	size_t size;
	const char *language;	/* "english", "german" ..., or "none"; NULL: as it is */
	int stop_words;		/* 1: English stop words and single characters count only where a question
				   has nothing else; -1: as any word; 0: as it is */
	double k1, b;		/* 0 to 1000, 0 to 1; below 0: as it is */
};
#define RAG_WORDS_INIT { sizeof(struct rag_words), NULL, 0, -1, -1 }
RAG_API int rag_set_words(struct rag *r, const struct rag_words *words);
RAG_API int rag_status(struct rag_status **out, struct rag *r);
RAG_API void rag_status_free(struct rag_status *s);

/* Checks every invariant and checksum of the store; `report` is called with a
 * line for each fault and RAG_ECORRUPT returned if there was one. */
RAG_API int rag_verify(struct rag *r, void (*report)(void *arg, const char *line), void *arg);

/* ---- documents in ------------------------------------------------------ */

enum rag_outcome {
	RAG_ADDED = 1,		/* new */
	RAG_REPLACED,		/* changed since the last time: the old chunks are gone */
	RAG_UNCHANGED,		/* the same bytes: nothing to do */
	RAG_SKIPPED,		/* by an ignore rule, or no kind of text */
	RAG_FAILED,		/* `error` says why; what was known of it stays as it was */
	RAG_REMOVED,		/* it was under an ingested folder and is there no more */
};

struct rag_ingested {
	enum rag_outcome outcome;
	const char *uri;
	uint64_t doc;		/* 0 if none */
	uint64_t chunks, bytes;	/* of extracted text */
	const char *error;	/* NULL unless failed or skipped */
	const char *warning;	/* NULL; or what a reader should know: "3 invalid bytes replaced" */
};
/* One call a document, as soon as it is durable (or has failed). */
typedef void rag_ingested_fn(void *arg, const struct rag_ingested *i);

struct rag_ingest_opts {
	size_t size;
	const char *const *include, *const *exclude;	/* globs, NULL-terminated; NULL: none */
	int force;		/* again, although the bytes are the same */
	int dry_run;		/* report what would be done */
	int allow_private;	/* URLs may lead to private and loopback addresses */
	int keep_missing;	/* do not remove documents whose file is gone from an ingested folder */
	uint64_t max_bytes;	/* of one source; 0: 256 MiB */
	const char *labels;	/* NULL, or "key=value,key=value" kept with each document */
	rag_ingested_fn *ingested;
	void *ingested_arg;
};
#define RAG_INGEST_OPTS_INIT { sizeof(struct rag_ingest_opts), NULL, NULL, 0, 0, 0, 0, 0, NULL, NULL, NULL }

struct rag_ingest_totals {
	uint64_t added, replaced, unchanged, skipped, failed, removed;
	uint64_t chunks, bytes;
};

/* All three: RAG_EBUSY while another process or handle writes, RAG_EDENIED on a
 * handle that is read_only (but for a dry_run), RAG_EMISMATCH when the store's
 * vectors are another embedder's, RAG_EFULL, RAG_ECANCEL.  When the embedder is not
 * at hand and was not asked for by name, words are kept without vectors; the next
 * rag_ingest() with one gives them theirs.  totals may be NULL.
 *
 * Files, folders (recursively) and http(s) URLs.  One bad source never stops
 * the others: RAG_OK with totals->failed > 0 then. */
RAG_API int rag_ingest(struct rag *r, const char *const *sources, size_t n,
		       const struct rag_ingest_opts *opts, struct rag_ingest_totals *totals);

/* Bytes from memory under a URI of the caller's ("note:42").  type: "text/plain",
 * "text/markdown", "text/html", "application/pdf", or NULL to find out.  Returns the
 * document's own failure, besides reporting it: RAG_EUNSUP for what is no text. */
RAG_API int rag_ingest_bytes(struct rag *r, const char *uri, const void *bytes, size_t n,
			     const char *type, const struct rag_ingest_opts *opts,
			     struct rag_ingest_totals *totals);

/* Chunks made and embedded by the caller.  Their texts joined by a blank line
 * are the document's text.  vectors: (n, dim), normalised here; NULL: embedded
 * here (RAG_ELIMIT: a chunk is too long for the embedder).  RAG_EMISMATCH when dim is
 * not the store's; RAG_EINVAL for a vector that is not finite or all zeros, a text
 * that is empty or no UTF-8, n 0.  A store whose first vectors are the caller's (of
 * other dimensions than its embedder's) is searched by rag_search_vector() alone. */
struct rag_chunk_in {
	const char *text;
	size_t len;
	const char *heading;	/* NULL: none */
};
RAG_API int rag_ingest_chunks(struct rag *r, const char *uri, const char *title,
			      const struct rag_chunk_in *chunks, size_t n,
			      const float *vectors, size_t dim,
			      const struct rag_ingest_opts *opts,
			      struct rag_ingest_totals *totals);

/* Many documents of such chunks, embedded here: several times faster than one call for
 * each, as they share batches and transactions.  What is reported is durable, also when
 * the call is cancelled.  A document with a chunk that is too long counts in
 * totals->failed, the others go in. */
struct rag_document_in {
	const char *uri, *title;	/* title NULL: none */
	const struct rag_chunk_in *chunks;
	size_t n;
};
RAG_API int rag_ingest_documents(struct rag *r, const struct rag_document_in *docs, size_t n,
				 const struct rag_ingest_opts *opts,
				 struct rag_ingest_totals *totals);

/* ---- documents listed, shown, forgotten --------------------------------- */

struct rag_document {
	uint64_t doc;
	const char *uri, *title, *type, *labels;
	const char *metadata;	/* what it says of itself: lines "key=value", each with its '\n' */
	const char *hash;	/* of the source's bytes, 64 hex digits */
	uint64_t chunks, bytes;	/* bytes of extracted text */
	int64_t added, modified;	/* seconds since 1970; 0: not known */
};
/* In order of ids, all of one moment.  The callback's result ends the walk when not 0
 * and is returned. */
typedef int rag_document_fn(void *arg, const struct rag_document *d);
RAG_API int rag_documents(struct rag *r, rag_document_fn *fn, void *arg);

/* doc: an id in decimal, a URI, a path (whose file may be gone), or a glob over URIs:
 * the first of these that fits.  *ids is given back with rag_ids_free().
 * RAG_ENOENT when nothing matches. */
RAG_API int rag_resolve(uint64_t **ids, size_t *n, struct rag *r, const char *doc);
RAG_API void rag_ids_free(uint64_t *ids);
RAG_API int rag_document(struct rag_document **out, struct rag *r, uint64_t doc);
RAG_API void rag_document_free(struct rag_document *d);
RAG_API int rag_document_text(char **text, size_t *len, struct rag *r, uint64_t doc);
RAG_API void rag_text_free(char *text);
/* All or none: RAG_ENOENT names the first id that is none.  RAG_EBUSY and
 * RAG_EDENIED as for ingesting. */
RAG_API int rag_forget(struct rag *r, const uint64_t *docs, size_t n);

/* ---- search -------------------------------------------------------------- */

enum rag_extent {		/* of a hit */
	RAG_BEST,		/* rag_search(): a chunk; rag_ask(): RAG_MERGED */
	RAG_CHUNKS,
	RAG_MERGED,		/* neighbouring chunks among the k best are one */
	RAG_SECTIONS,		/* the section around each, 16 KiB at most; k is at most 1,000 */
};
struct rag_search_opts {
	size_t size;
	size_t k;		/* hits wanted, at most 100,000; 0: 10 */
	const char *in;		/* glob over URIs; NULL: all */
	const char *filter;	/* as ragstone(1) has it, over uri, path, title, type, size, added, modified,
				   labels and metadata: "lang == en && year >= 2020"; NULL: all */
	double min_score;	/* -1 .. 1, hits of a lower cosine are left out; 0: none */
	const char *mode;	/* NULL or "hybrid": all there is; "fusion": vectors and words; "dense"; "bm25" */
	size_t per_document;	/* hits from one document at most: 1 ranks documents by their best chunk; 0: any */
	double weight;		/* of the vectors in a fusion, above 0, at most 1; 0: the store's */
	unsigned skip;		/* enum rag_skip, stages of hybrid to leave out */
	enum rag_extent extent;
	double diversity;	/* 0 .. 1: how much it counts against a hit that it resembles those before it */
	int explain;		/* hits get their terms */
	const char *asked, *answered;	/* the turn before, for a question that follows on it; NULL: none */
	const char *expand;	/* "hyde": the generator makes up a passage that might answer, "queries": it
				 * puts the question in other words; both are looked for as well.  NULL: no */
};
#define RAG_SEARCH_OPTS_INIT { sizeof(struct rag_search_opts), 0, NULL, NULL, 0, NULL, 0, 0, 0, RAG_BEST, 0, \
			       0, NULL, NULL, NULL }
enum rag_skip {
	RAG_SKIP_LATE = 1,	/* late interaction: the best ones ordered by their tokens' vectors */
	RAG_SKIP_SECOND = 2,	/* the second step: the tail refilled from the best ones */
};

struct rag_hit {
	uint64_t doc, chunk;
	const char *uri, *title, *heading;	/* heading: "A > B", "" if none */
	const char *text;			/* the chunk: end - start bytes and a NUL */
	uint64_t start, end;			/* bytes of the document's text */
	uint32_t page;				/* from 1; 0: no pages */
	uint32_t line;				/* from 1, of start in the document's text */
	float score;				/* falls with the rank; dense: cosine, bm25: BM25, fusion: sum of
						 * z-scores, hybrid: 0 .. 1, compared with this answer's others */
	float cosine, bm25, late;		/* NAN: not known */
	uint32_t at_dense, at_bm25, at_fused;	/* rank there, from 1; 0: not among the best */
	size_t n_terms;				/* if explained */
	const struct rag_term *term;
};
struct rag_term {	/* of the question, as it is looked for */
	const char *text;
	double idf, score;	/* its part of bm25 */
	uint64_t df;		/* chunks that hold it */
	uint32_t tf;		/* in this one */
};
struct rag_stage {
	const char *name;	/* "filter", "dense", "bm25", ... */
	double seconds;
};
struct rag_hits {
	size_t n;
	const struct rag_hit *const *hit;	/* best first */
	double seconds_embed, seconds_search;
	size_t n_stages;
	const struct rag_stage *stage;	/* of seconds_search */
};
/* No hit is RAG_OK with n 0.  RAG_EINVAL: an empty query, or a bad filter;
 * RAG_ENOENT: no embedder, or the store has chunks and no vector yet (dense), or no words (bm25);
 * RAG_EMISMATCH: its vectors are another embedder's, or of other dimensions. */
RAG_API int rag_search(struct rag_hits **out, struct rag *r, const char *query,
		       const struct rag_search_opts *opts);
RAG_API int rag_search_vector(struct rag_hits **out, struct rag *r, const float *vector, size_t dim,
			      const struct rag_search_opts *opts);
RAG_API void rag_hits_free(struct rag_hits *h);

/* ---- questions ------------------------------------------------------------- */

struct rag_ask_opts {
	size_t size;
	const struct rag_search_opts *search;	/* k 0: 5; min_score 0: .30, as a passage has to be relevant */
	int max_tokens;			/* of the answer; 0: 256 */
	double temperature;		/* 0: greedy */
	int top_k;			/* 0: off */
	double top_p, min_p;		/* 0: off */
	uint64_t seed;
	/* Streamed: the text with its [n] markers, UTF-8 whole.  Starts when a sentence has found
	 * support: an answer without any is never shown.  Not 0 stops the answer, which is kept. */
	int (*token)(void *arg, const char *text, size_t len);
	void *token_arg;
};
#define RAG_ASK_OPTS_INIT { sizeof(struct rag_ask_opts), NULL, 0, 0, 0, 0, 0, 0, NULL, NULL }

struct rag_citation {
	int n;				/* passage number, from 1, as in "[1]" */
	uint64_t doc;
	const char *uri;
	uint32_t page;
	uint64_t start, end;		/* the supporting characters of the document's text */
	const char *text;		/* those characters */
	float strength;			/* 0 .. 1 */
	size_t sentence_start, sentence_end;	/* of the answer, bytes */
};
struct rag_passage {
	int n;
	uint64_t doc, chunk;
	const char *uri, *title, *heading, *text;
	uint64_t start, end;
	uint32_t page;
	float score;
	int trimmed;			/* cut to fit the context */
};
struct rag_answer {
	const char *text;		/* without markers */
	const char *marked;		/* with [n] at the end of each supported sentence */
	int abstained;			/* nothing relevant, or nothing supported */
	const char *reason;		/* why it abstained, or "" */
	size_t n_citations, n_passages;
	const struct rag_citation *const *citation;
	const struct rag_passage *const *passage;
	const char *model;		/* what generated it */
	int prompt_tokens, answer_tokens;
	int cut;			/* stopped by max_tokens or by the caller */
	double seconds_search, seconds_prefill, seconds_decode;
	/* Answer tokens guessed from the passages' words, and how many of them were right: each
	 * one saved an evaluation.  The answer is the same without. */
	int drafted_tokens, accepted_tokens;
};
/* A conversation remembers earlier turns; NULL: a single question. */
struct rag_chat;
RAG_API int rag_chat_new(struct rag_chat **out, struct rag *r);
RAG_API void rag_chat_free(struct rag_chat *c);
/* Errors as of rag_search(), and: RAG_ENOENT, RAG_EFORMAT, RAG_EUNSUP of the generator;
 * RAG_ELIMIT: the question alone does not fit the context.  RAG_ECANCEL before the
 * first token, an answer that is cut after it. */
RAG_API int rag_ask(struct rag_answer **out, struct rag *r, struct rag_chat *chat,
		    const char *question, const struct rag_ask_opts *opts);
RAG_API void rag_answer_free(struct rag_answer *a);

/* ---- models alone ------------------------------------------------------------ */

/* vectors: (n, dim) of unit length, to be given back with rag_vectors_free().
 * RAG_ELIMIT: a text is longer than what the embedder takes. */
RAG_API int rag_embed(float **vectors, size_t *dim, struct rag *r,
		      const char *const *texts, size_t n);
RAG_API void rag_vectors_free(float *v);

struct rag_generate_opts {
	size_t size;
	int max_tokens;			/* 0: 256 */
	double temperature;
	int top_k;
	double top_p, min_p;
	uint64_t seed;
	int raw;			/* the prompt as it is, no chat format */
	int (*token)(void *arg, const char *text, size_t len);
	void *token_arg;
};
#define RAG_GENERATE_OPTS_INIT { sizeof(struct rag_generate_opts), 0, 0, 0, 0, 0, 0, 0, NULL, NULL }
/* RAG_EINVAL: an empty prompt; RAG_ELIMIT: one that does not fit the context; the
 * generator's errors as of rag_ask().  What was decoded when it was cancelled is kept. */
RAG_API int rag_generate(char **text, struct rag *r, const char *prompt,
			 const struct rag_generate_opts *opts);	/* rag_text_free() */

#ifdef __cplusplus
}
#endif
#endif
