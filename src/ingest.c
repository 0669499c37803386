/* The facade's part about documents on their way in. */
#include "config.h"
#include "src/rag_impl.h"

#include "base/buf.h"
#include "base/conf.h"
#include "base/err.h"
#include "base/mem.h"
#include "ingest/pipeline.h"

#include <string.h>

_Static_assert((int)RAG_ADDED == (int)INGEST_ADDED && (int)RAG_REMOVED == (int)INGEST_REMOVED,
	       "the pipeline's outcomes are the public ones");

struct call {
	struct rag *r;
	struct embed *embed;		/* borrowed from r; NULL: words alone, or vectors of the caller's */
	struct rag_ingest_opts pub;
	struct ingest_opts o;
	struct buf extractor;
	struct ingest_totals t;
};

static void report(void *arg, const struct ingested *i)
{
	struct call *c = arg;
	struct rag_ingested pub = {
		.outcome = (enum rag_outcome)i->outcome, .uri = i->uri, .doc = i->doc,
		.chunks = i->chunks, .bytes = i->bytes, .error = i->error, .warning = i->warning,
	};

	c->pub.ingested(c->pub.ingested_arg, &pub);
}

/* own: the caller has vectors.  An embedder is asked then for its name alone, by a
 * store that has none yet. */
static int need_embed(struct call *c, bool own)
{
	struct store_generation g = { 0 };
	struct store_snap *v;
	int rc = RAG_OK;

	if (own) {
		rc = store_snap(&v, c->r->store);
		if (rc)
			return rc;
		rc = store_generation(&g, v);
		store_snap_end(v);
	}
	if (rc || g.dim || (c->r->embedder && !*c->r->embedder))
		return rc;
	rc = rag_need_embed(c->r, !own);
	/* No model at hand and none asked for: words now, vectors when there is one. */
	if (rc == RAG_ENOENT && !c->r->embedder)
		rc = RAG_OK;
	c->embed = c->r->embed;
	return rc;
}

static int begin(struct call *c, struct rag *r, const struct rag_ingest_opts *opts, bool own)
{
	int rc;

	memset(c, 0, sizeof(*c));
	c->r = r;
	rc = rag_opts_copy(&c->pub, sizeof(c->pub), opts);
	c->o.include = c->pub.include;
	c->o.exclude = c->pub.exclude;
	c->o.force = c->pub.force;
	c->o.dry_run = c->pub.dry_run;
	c->o.allow_private = c->pub.allow_private;
	c->o.keep_missing = c->pub.keep_missing;
	c->o.max_bytes = c->pub.max_bytes;
	c->o.labels = c->pub.labels;
	c->o.progress = &r->progress;
	if (c->pub.ingested) {
		c->o.ingested = report;
		c->o.ingested_arg = c;
	}
	if (!rc)
		rc = c->pub.dry_run ? rag_need_store(r) : rag_need_writable(r);
	return rc ? rc : need_embed(c, own);
}

static int need_extractor(struct call *c)
{
	int rc = conf_extract(&c->extractor);

	c->o.extractor = buf_str(&c->extractor);
	return rc;
}

static int end(struct call *c, struct rag_ingest_totals *totals, int rc)
{
	if (totals)
		*totals = (struct rag_ingest_totals){
			.added = c->t.added, .replaced = c->t.replaced,
			.unchanged = c->t.unchanged, .skipped = c->t.skipped,
			.failed = c->t.failed, .removed = c->t.removed,
			.chunks = c->t.chunks, .bytes = c->t.bytes,
		};
	buf_release(&c->extractor);
	return rag_done(c->r, rc);
}

int rag_ingest(struct rag *r, const char *const *sources, size_t n,
	       const struct rag_ingest_opts *opts, struct rag_ingest_totals *totals)
{
	struct call c;
	int rc = begin(&c, r, opts, false);

	if (!rc)
		rc = need_extractor(&c);
	if (!rc)
		rc = ingest_sources(&c.t, r->store, c.embed, sources, n, &c.o);
	return end(&c, totals, rc);
}

int rag_ingest_bytes(struct rag *r, const char *uri, const void *bytes, size_t n,
		     const char *type, const struct rag_ingest_opts *opts,
		     struct rag_ingest_totals *totals)
{
	struct call c;
	int rc = begin(&c, r, opts, false);

	if (!rc)
		rc = need_extractor(&c);
	if (!rc)
		rc = ingest_bytes(&c.t, r->store, c.embed, uri, bytes, n, type, &c.o);
	return end(&c, totals, rc);
}

_Static_assert(sizeof(struct ingest_chunk) == sizeof(struct rag_chunk_in) &&
	       offsetof(struct ingest_chunk, heading) == offsetof(struct rag_chunk_in, heading),
	       "the pipeline's chunks are the public ones");

static const struct ingest_chunk *own(const struct rag_chunk_in *c)
{
	return (const struct ingest_chunk *)(const void *)c;
}

int rag_ingest_chunks(struct rag *r, const char *uri, const char *title,
		      const struct rag_chunk_in *chunks, size_t n,
		      const float *vectors, size_t dim,
		      const struct rag_ingest_opts *opts, struct rag_ingest_totals *totals)
{
	struct call c;
	int rc = begin(&c, r, opts, vectors != NULL);

	if (!rc)
		rc = ingest_chunks(&c.t, r->store, c.embed, uri, title, own(chunks), n, vectors,
				   dim, &c.o);
	return end(&c, totals, rc);
}

int rag_ingest_documents(struct rag *r, const struct rag_document_in *docs, size_t n,
			 const struct rag_ingest_opts *opts, struct rag_ingest_totals *totals)
{
	struct ingest_document *in = NULL;
	struct call c;
	int rc = begin(&c, r, opts, false);

	if (!rc) {
		in = mem_calloc(n, sizeof(*in));
		if (!in)
			rc = RAG_ENOMEM;
	}
	for (size_t i = 0; !rc && i < n; i++)
		in[i] = (struct ingest_document){ docs[i].uri, docs[i].title, own(docs[i].chunks),
						  docs[i].n };
	if (!rc)
		rc = ingest_documents(&c.t, r->store, c.embed, in, n, &c.o);
	mem_free(in);
	return end(&c, totals, rc);
}
