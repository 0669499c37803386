/*
 * The library when memory is short: allocation n for n = 1, 2, 3 ... fails within a
 * whole session.  A code comes back with its message, nothing is handed out, and
 * what was acknowledged is in the store.  Leaks are for the sanitizer to find.
 * `ragstone-t 1` takes each of them, `make check` every fifth.
 */
#include "config.h"
#include "tests/rag_util.h"

#include "base/mem.h"

static bool good, added;

/* What every call has to keep to.  False: it failed. */
static bool done(int rc, const void *out)
{
	good &= rc == RAG_OK || (rc == RAG_ENOMEM && !out && rag_error()[0]);
	return rc == RAG_OK;
}

static void session(const char *uri, bool create)
{
	struct rag_opts o = opts("store");
	struct rag_chunk_in chunk = { elephants, strlen(elephants), NULL };
	const char *text[] = { "rivers" };
	struct rag_ingest_totals t;
	struct rag *r = NULL;
	struct rag_chat *chat = NULL;
	struct rag_hits *h = NULL;
	struct rag_answer *a = NULL;
	struct rag_status *st = NULL;
	uint64_t *ids = NULL;
	size_t n = 0;
	float *v = NULL;
	int rc;

	added = false;
	o.create = create;
	if (!done(rag_open(&r, &o), r))
		return;
	rc = rag_ingest_bytes(r, uri, normans, strlen(normans), "text/markdown", NULL, &t);
	added = done(rc, NULL);
	good &= added == (t.added == 1);
	done(rag_ingest_chunks(r, "chunks", NULL, &chunk, 1, NULL, 0, NULL, NULL), NULL);
	if (done(rag_search(&h, r, "rollo", NULL), h) && added)
		good &= h->n >= 1 && !strcmp(h->hit[0]->title, "Normans");
	done(rag_chat_new(&chat, r), chat);
	for (int i = 0; i < 2 && chat; i++) {
		if (done(rag_ask(&a, r, chat, "Who was the leader of the Normans?", NULL), a) && added)
			good &= !a->abstained && a->n_citations == 1 && !strcmp(a->text, "Rollo was the leader.");
		rag_answer_free(a);
		a = NULL;
	}
	done(rag_status(&st, r), st);
	done(rag_embed(&v, &n, r, text, 1), v);
	if (done(rag_resolve(&ids, &n, r, "note:*"), ids) || !added)
		good &= !ids || n >= 1;
	rag_close(r);
	rag_hits_free(h);
	rag_status_free(st);
	rag_vectors_free(v);
	rag_ids_free(ids);
	rag_chat_free(chat);
}

int main(int argc, char **argv)
{
	unsigned long step = argc > 1 ? strtoul(argv[1], NULL, 10) : 5;	/* 1: each */
	unsigned long k, all;
	uint64_t in = 1;
	struct rag *r;

	if (!ok(rag_setup(), "models"))
		return 99;
	r = open_store("store", "words");
	if (!ok(r && !add(r, "note:first", normans), "a document"))
		return 99;
	good = true;
	session("note:all", false);
	all = mem_count();
	session("note:more", false);
	all = mem_count() - all;
	in += 2;
	ok(good && added && all > 500, "a session of %lu allocations", all);
	for (k = 1; k <= all && good; k += step) {
		char uri[32];
		uint64_t *ids;
		size_t n = 0;

		snprintf(uri, sizeof(uri), "note:%lu", k);
		mem_fail_at(k);
		session(uri, false);
		mem_fail_at(0);
		in += added;
		good &= !rag_resolve(&ids, &n, r, "note:*") && n == in;
		rag_ids_free(ids);
	}
	if (!ok(good, "any of them may fail"))
		printf("# allocation %lu: %s\n", k, rag_error());
	ok(in > all / step / 2, "most sessions took their document in");
	is_int(rag_verify(r, NULL, NULL), RAG_OK, "the store is whole");
	rag_close(r);
	return rag_teardown();
}
