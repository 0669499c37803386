#include "config.h"
#include "src/rag_impl.h"

#include "base/conf.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/par.h"
#include "generator/answer.h"
#include "index/filter.h"
#include "model/cross.h"
#include "model/decoder.h"
#include "model/embed.h"

#include <string.h>

const char *rag_version(void)
{
	return PACKAGE_VERSION;
}

const char *rag_version_full(void)
{
	return PACKAGE_STRING " (" RAG_BUILT_WITH ")";
}

const char *rag_error(void)
{
	return err_msg();
}

const char *rag_error_name(int code)
{
	return err_name(code);
}

int rag_opts_copy(void *out, size_t out_size, const void *opts)
{
	size_t size;

	memset(out, 0, out_size);
	if (!opts)
		return RAG_OK;
	memcpy(&size, opts, sizeof(size));
	if (size < sizeof(size))
		return err_set(RAG_EINVAL, "options without their size: they begin as RAG_..._INIT");
	memcpy(out, opts, size < out_size ? size : out_size);
	return RAG_OK;
}

/* ---- progress and cancelling ------------------------------------------------ */

static int tick(void *arg, const struct progress_at *at)
{
	struct rag_progress p = { at->stage, at->what, at->done, at->total };
	struct rag *r = arg;
	double now;

	if (atomic_load(&r->cancel))
		return 1;
	if (!r->progress_fn)
		return 0;
	/* Floors tick as often as is convenient to them; a caller wants a picture's pace. */
	now = clock_now();
	if (at->stage == r->last_stage && now - r->last_tick < 0.05 &&
	    (!at->total || at->done != at->total))
		return 0;
	r->last_tick = now;
	r->last_stage = at->stage;
	return r->progress_fn(r->progress_arg, &p);
}

void rag_set_progress(struct rag *r, rag_progress_fn *fn, void *arg)
{
	r->progress_fn = fn;
	r->progress_arg = arg;
}

void rag_cancel(struct rag *r)
{
	atomic_store(&r->cancel, 1);
}

int rag_done(struct rag *r, int rc)
{
	atomic_store(&r->cancel, 0);
	return rc;
}

/* ---- what a handle opens ------------------------------------------------------ */

int rag_need_store(struct rag *r)
{
	if (!r->store)
		return err_set(RAG_EINVAL, "this handle was opened without a store");
	return RAG_OK;
}

int rag_need_writable(struct rag *r)
{
	int rc = rag_need_store(r);

	if (!rc && r->read_only)
		rc = err_set(RAG_EDENIED, "'%s' was opened for reading alone", r->store_dir);
	return rc;
}

int rag_need_par(struct rag *r)
{
	return r->par ? RAG_OK : par_new(&r->par, r->n_threads);
}

static int open_embed(struct rag *r, const char *name)
{
	enum encoder_precision precision;
	struct buf path = BUF_INIT;
	int rc;

	rc = embed_precision_parse(&precision, r->precision ? r->precision : conf_env("RAGSTONE_PRECISION"));
	if (!rc)
		rc = rag_need_par(r);
	if (!rc)
		rc = conf_model(&path, name, r->models);
	if (!rc)
		rc = embed_open(&r->embed, buf_str(&path), precision, r->par);
	buf_release(&path);
	return rc;
}

/* The embedder's name: the caller's, the store's own, the environment's, the default. */
static int choose_embedder(struct buf *name, struct store_generation *g, bool *callers, struct rag *r)
{
	struct store_snap *v;
	uint8_t print[HASH_LEN];
	int rc;

	*callers = false;
	memset(g, 0, sizeof(*g));
	if (r->store) {
		rc = store_snap(&v, r->store);
		if (rc)
			return rc;
		rc = store_generation(g, v);
		if (!rc && g->dim) {
			/* What no embedder made is named by itself: ingest/given.c. */
			hash_bytes(print, g->embedder, strlen(g->embedder));
			*callers = !memcmp(g->fingerprint, print, HASH_LEN);
			if (!*callers)
				rc = buf_adds(name, g->embedder);
		}
		store_snap_end(v);	/* g's strings are gone now */
		g->embedder = g->chunking = NULL;
		if (rc)
			return rc;
	}
	if (r->embedder && *r->embedder) {
		buf_clear(name);
		return buf_adds(name, r->embedder);
	}
	if (name->len)
		return RAG_OK;
	return buf_adds(name, conf_env("RAGSTONE_EMBEDDER") ? conf_env("RAGSTONE_EMBEDDER")
							   : CONF_EMBEDDER);
}

/* Whose the vectors are only matters when there are some.  embed NULL: not opened. */
static int mismatch(struct rag *r, const struct embed *embed)
{
	struct store_status st;
	int rc = store_status(&st, r->store);

	if (rc)
		return rc;
	if (st.vectors && embed)
		rc = err_set(RAG_EMISMATCH, "the store's vectors were made by another '%s' than the '%s' at hand",
			     st.embedder, embed_name(embed));
	else if (st.vectors)
		rc = err_set(RAG_EMISMATCH, "the vectors of '%s' are its caller's, no embedder's", r->store_dir);
	store_status_release(&st);
	return rc;
}

/* The store's vectors say in which precision they were made, unless the caller insists on one. */
static int match_precision(struct rag *r, const struct store_generation *g)
{
	enum encoder_precision made;

	if (!g->dim || !embed_precision_of(&made, r->embed, g->fingerprint))
		return RAG_OK;
	if (r->precision && made != embed_precision(r->embed))
		return err_set(RAG_EMISMATCH, "the store's vectors are %s, not %s",
			       embed_precision_name(made), embed_precision_name(embed_precision(r->embed)));
	embed_set_precision(r->embed, made);
	return RAG_OK;
}

int rag_need_embed(struct rag *r, bool for_store)
{
	struct buf name = BUF_INIT;
	struct store_generation g;
	bool callers;
	int rc;

	rc = choose_embedder(&name, &g, &callers, r);
	if (!rc && for_store && callers)
		rc = mismatch(r, NULL);
	if (!rc && !r->embed)
		rc = open_embed(r, buf_str(&name));
	if (!rc && for_store)
		rc = match_precision(r, &g);
	if (!rc && for_store && g.dim && memcmp(g.fingerprint, embed_fingerprint(r->embed), HASH_LEN))
		rc = mismatch(r, r->embed);
	buf_release(&name);
	return rc;
}

int rag_need_cross(struct rag *r)
{
	enum encoder_precision precision = ENCODER_F32;	/* int8 moves the scores of a random model by .25 */
	struct buf path = BUF_INIT;
	int rc;

	if (r->cross)
		return RAG_OK;
	rc = rag_need_par(r);
	if (!rc && r->precision)
		rc = embed_precision_parse(&precision, r->precision);
	if (!rc)
		rc = conf_model(&path, r->reranker, r->models);
	if (!rc)
		rc = cross_open(&r->cross, buf_str(&path), precision, r->par);
	buf_release(&path);
	return rc;
}

const char *rag_generator(const struct rag *r)
{
	if (r->generator)
		return r->generator;
	return conf_env("RAGSTONE_MODEL") ? conf_env("RAGSTONE_MODEL") : CONF_GENERATOR;
}

static void close_generator(struct rag *r)
{
	answerer_free(r->answerer);
	decoder_close(r->decoder);
	r->answerer = NULL;
	r->decoder = NULL;
}

int rag_need_answerer(struct rag *r)
{
	struct buf path = BUF_INIT;
	int rc;

	if (r->answerer)
		return RAG_OK;
	rc = rag_need_par(r);
	if (!rc)
		rc = conf_model(&path, rag_generator(r), r->models);
	if (!rc)
		rc = decoder_open(&r->decoder, buf_str(&path));
	if (!rc)
		rc = answerer_new(&r->answerer, r->decoder, r->par);
	if (rc)
		close_generator(r);
	buf_release(&path);
	return rc;
}

int rag_use_generator(struct rag *r, const char *generator)
{
	char *old = r->generator, *name = NULL;
	struct decoder *decoder = r->decoder;
	struct answerer *answerer = r->answerer;
	int rc;

	if (generator) {
		name = mem_strdup(generator);
		if (!name)
			return RAG_ENOMEM;
	}
	r->generator = name;
	r->decoder = NULL;
	r->answerer = NULL;
	rc = rag_need_answerer(r);
	if (rc) {	/* the one before goes on */
		r->generator = old;
		r->decoder = decoder;
		r->answerer = answerer;
		mem_free(name);
		return rc;
	}
	answerer_free(answerer);
	decoder_close(decoder);
	mem_free(old);
	return RAG_OK;
}

/* ---- open and close --------------------------------------------------------------- */

static int keep(char **slot, const char *s)
{
	if (!s)
		return RAG_OK;
	*slot = mem_strdup(s);
	return *slot ? RAG_OK : RAG_ENOMEM;
}

/* A new store is told its embedder when the caller names one or its
 * precision, so that a wrong name is found now and not after the first file. */
static int adopt_embedder(struct rag *r)
{
	struct store_generation g;
	struct store_writer *w;
	struct store_snap *v;
	int rc;

	rc = store_snap(&v, r->store);
	if (rc)
		return rc;
	rc = store_generation(&g, v);
	store_snap_end(v);
	if (rc)
		return rc;
	rc = rag_need_embed(r, true);
	if (rc || (g.dim && !memcmp(g.fingerprint, embed_fingerprint(r->embed), HASH_LEN)))
		return rc;
	rc = store_write_begin(&w, r->store);
	if (rc)
		return rc;
	rc = store_set_generation(w, "", embed_name(r->embed), embed_fingerprint(r->embed),
				  embed_dim(r->embed));
	store_write_end(w);
	return rc;
}

static int open_store(struct rag *r, const char *dir, bool create)
{
	struct store_opts so = STORE_OPTS_INIT;
	struct buf path = BUF_INIT;
	int rc;

	if (dir && !*dir)
		return RAG_OK;
	rc = dir ? buf_adds(&path, dir) : conf_store(&path);
	if (!rc)
		rc = keep(&r->store_dir, buf_str(&path));
	buf_release(&path);
	if (!rc && create)
		rc = file_make_parents(r->store_dir);
	so.create = create;
	if (!rc)
		rc = store_open(&r->store, r->store_dir, &so);
	return rc;
}

int rag_open(struct rag **out, const struct rag_opts *opts)
{
	struct rag_opts o;
	struct rag *r;
	bool make, named;
	int rc;

	*out = NULL;
	rc = rag_opts_copy(&o, sizeof(o), opts);
	if (rc)
		return rc;
	r = mem_calloc(1, sizeof(*r));
	if (!r)
		return RAG_ENOMEM;
	make = o.create && !o.read_only;
	named = o.precision || (o.embedder && *o.embedder);
	r->progress_fn = o.progress;
	r->progress_arg = o.progress_arg;
	r->progress.fn = tick;
	r->progress.arg = r;
	r->n_threads = o.threads;
	r->read_only = o.read_only;
	rc = keep(&r->embedder, o.embedder);
	if (!rc)
		rc = keep(&r->reranker, o.reranker);
	if (!rc)
		rc = keep(&r->precision, o.precision);
	if (!rc)
		rc = keep(&r->generator, o.generator);
	if (!rc)
		rc = keep(&r->models, o.models);
	if (!rc && make && named)
		rc = rag_need_embed(r, false);
	if (!rc)
		rc = open_store(r, o.store, make);
	if (!rc && r->store && make && named)
		rc = adopt_embedder(r);
	if (rc) {
		rag_close(r);
		return rc;
	}
	*out = r;
	return RAG_OK;
}

void rag_close(struct rag *r)
{
	if (!r)
		return;
	close_generator(r);
	embed_close(r->embed);
	cross_close(r->cross);
	par_free(r->par);
	store_close(r->store);
	mem_free(r->store_dir);
	mem_free(r->embedder);
	mem_free(r->reranker);
	mem_free(r->precision);
	mem_free(r->generator);
	mem_free(r->models);
	mem_free(r);
}

/* ---- status ---------------------------------------------------------------------------- */

struct status_box {
	struct rag_status pub;		/* first: what the caller holds */
	struct store_status st;
	char *store;
};

int rag_set_weight(struct rag *r, double weight)
{
	struct store_writer *w;
	int rc = rag_need_writable(r);

	if (!rc)
		rc = store_write_begin(&w, r->store);
	if (rc)
		return rc;
	rc = store_set_weight(w, (float)weight);
	store_write_end(w);
	return rc;
}

int rag_set_words(struct rag *r, const struct rag_words *words)
{
	struct store_status st;
	struct store_writer *w;
	int rc = words && words->size == sizeof(*words) ? rag_need_writable(r) :
		 err_set(RAG_EINVAL, "settings of words were not initialised");

	if (!rc && words->language && strlen(words->language) > STORE_LANGUAGE_MAX)
		rc = err_set(RAG_EUNSUP, "no stemmer for language '%.40s'", words->language);
	if (!rc)
		rc = store_write_begin(&w, r->store);
	if (rc)
		return rc;
	rc = store_status(&st, r->store);
	if (!rc) {
		if (words->language)
			memcpy(st.words.language, words->language, strlen(words->language) + 1);
		if (words->stop_words)
			st.words.stop = words->stop_words > 0;
		if (!(words->k1 < 0))
			st.words.k1 = (float)words->k1;
		if (!(words->b < 0))
			st.words.b = (float)words->b;
		rc = store_set_words(w, &st.words);
	}
	store_status_release(&st);
	store_write_end(w);
	return rc;
}

int rag_status(struct rag_status **out, struct rag *r)
{
	struct status_box *b;
	int rc = rag_need_store(r);

	*out = NULL;
	if (rc)
		return rc;
	b = mem_calloc(1, sizeof(*b));
	if (!b)
		return RAG_ENOMEM;
	b->store = mem_strdup(r->store_dir);
	rc = b->store ? store_status(&b->st, r->store) : RAG_ENOMEM;
	if (rc) {
		mem_free(b->store);
		mem_free(b);
		return rc;
	}
	b->pub = (struct rag_status){
		.store = b->store, .embedder = b->st.embedder ? b->st.embedder : "",
		.documents = b->st.documents, .chunks = b->st.chunks,
		.text_bytes = b->st.text_bytes, .disk_bytes = b->st.disk_bytes,
		.generation = b->st.generation, .dim = b->st.dim, .format = b->st.format,
		.vectors = b->st.vectors, .weight = (double)b->st.weight,
		.language = b->st.words.language, .stop_words = b->st.words.stop,
		.k1 = (double)b->st.words.k1, .b = (double)b->st.words.b,
	};
	*out = &b->pub;
	return RAG_OK;
}

void rag_status_free(struct rag_status *s)
{
	struct status_box *b = (struct status_box *)s;

	if (!b)
		return;
	store_status_release(&b->st);
	mem_free(b->store);
	mem_free(b);
}

int rag_verify(struct rag *r, void (*report)(void *arg, const char *line), void *arg)
{
	int rc = rag_need_store(r);

	return rc ? rc : store_verify(r->store, report, arg);
}
