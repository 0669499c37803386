/*
 * rag_util - a folder with models of one layer, and handles on stores in it.
 *
 * "words" and "other-words" embed, "tiny" answers from normans, "endless" talks
 * on; no other model is found, whatever the machine has: `cache` is where those
 * of the machine are.
 */
#ifndef RAG_TESTS_RAG_UTIL_H
#define RAG_TESTS_RAG_UTIL_H

#include "src/ragstone.h"
#include "tests/tap.h"
#include "tests/tiny.h"
#include "tests/tiny_words.h"

#include <stdlib.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof(*(a)))

static const char *const known[] = {
	"rollo", "was", "the", "leader", "of", "normans", "elephants", "like", "peanuts", "rivers",
	"run", "to", "sea", "who", "castles", "stone", "where", "do",
};
static const char *const says[] = { "Rollo", " was", " the", " leader." };
static const char *const babble[] = { "Again", " and", " again," };
static const struct tiny answering = { TINY_CHATML, says, COUNT(says), -1, 2048 };
static const struct tiny endless = { TINY_CHATML, babble, COUNT(babble), 0, 2048 };

static char dir[64], models[128], cache[512];
static const char normans[] = "# Normans\n\nRollo was the leader of the Normans.\n";
static const char elephants[] = "Elephants like peanuts.";

static const char *in_dir(const char *name)
{
	static char path[8][256];
	static int i;

	i = (i + 1) % 8;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

__attribute__((unused))
static void put(const char *name, const char *text)
{
	FILE *f = fopen(in_dir(name), "w");

	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

__attribute__((unused))
static struct rag_opts opts(const char *store)
{
	struct rag_opts o = RAG_OPTS_INIT;

	o.store = *store ? in_dir(store) : "";
	o.models = models;
	o.generator = "tiny";
	o.threads = 2;
	o.create = 1;
	return o;
}

__attribute__((unused))
static struct rag *open_store(const char *store, const char *embedder)
{
	struct rag_opts o = opts(store);
	struct rag *r = NULL;

	o.embedder = embedder;
	if (rag_open(&r, &o))
		ok(false, "a handle on %s", store);
	return r;
}

__attribute__((unused))
static int add(struct rag *r, const char *uri, const char *text)
{
	return rag_ingest_bytes(r, uri, text, strlen(text), "text/markdown", NULL, NULL);
}

__attribute__((unused))
static size_t resolved(struct rag *r, const char *doc)
{
	uint64_t *ids;
	size_t n;
	int rc = rag_resolve(&ids, &n, r, doc);

	if (rc && (ids || n || !strstr(rag_error(), "no document")))
		ok(false, "what does not resolve");
	rag_ids_free(ids);
	return rc == RAG_OK ? n : rc == RAG_ENOENT ? 0 : 99;
}

__attribute__((unused))
static size_t hits(struct rag *r, const char *query, const struct rag_search_opts *o)
{
	struct rag_hits *h;
	size_t n;

	if (rag_search(&h, r, query, o))
		return 999;
	n = h->n;
	for (size_t i = 1; i < n; i++)
		if (h->hit[i]->score > h->hit[i - 1]->score)
			n = 998;
	rag_hits_free(h);
	return n;
}

static bool rag_setup(void)
{
	const char *build = getenv("builddir"), *home = getenv("HOME"), *place = getenv("RAGSTONE_CACHE");
	char program[512];

	snprintf(cache, sizeof(cache), "%s%s/models", place ? place : home ? home : "",
		 place ? "" : "/.cache/ragstone");
	snprintf(program, sizeof(program), "%s/ragstone-extract", build ? build : ".");
	snprintf(dir, sizeof(dir), "/tmp/ragstone-t.XXXXXX");
	if (!mkdtemp(dir))
		return false;
	setenv("RAGSTONE_EXTRACT", program, 1);
	setenv("RAGSTONE_CACHE", dir, 1);
	unsetenv("RAGSTONE_EMBEDDER");
	unsetenv("RAGSTONE_MODEL");
	unsetenv("RAGSTONE_STORE");
	snprintf(models, sizeof(models), "%s", in_dir("models"));
	mkdir(models, 0700);
	mkdir(in_dir("models/tiny"), 0700);
	mkdir(in_dir("models/endless"), 0700);
	return tiny_words_write(in_dir("models/words"), known, COUNT(known)) &&
	       tiny_words_write(in_dir("models/other-words"), known + 1, COUNT(known) - 1) &&
	       tiny_write(in_dir("models/tiny/model.gguf"), &answering) &&
	       tiny_write(in_dir("models/endless/model.gguf"), &endless);
}

static int rag_teardown(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	return system(cmd) ? 99 : tap_done();
}

#endif
