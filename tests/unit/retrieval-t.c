#include "config.h"
#include "tests/tap.h"

#include "base/buf.h"
#include "base/par.h"
#include "model/embed.h"
#include "src/eval/retrieval.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[] = "retrieval-t.XXXXXX";

static void put(const char *name, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "wb");
	if (!f || fputs(text, f) < 0 || fclose(f)) {
		printf("Bail out! cannot write %s\n", path);
		exit(1);
	}
}

/* A document of n words that are a token each, and a last sentence. */
static void add_long(struct buf *b, const char *id, int n, const char *last)
{
	buf_addf(b, "{\"id\": \"%s\", \"title\": \"notes\", \"text\": \"", id);
	for (int i = 0; i < n; i++)
		buf_adds(b, i % 2 ? "cat " : "house ");
	buf_addf(b, "%s\"}\n", last);
}

static void make(void)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, "{\"id\": \"river\", \"title\": \"The Danube\", \"text\": \"The river flows "
		 "through ten countries into the Black Sea.\"}\n"
		 "{\"id\": \"bread\", \"text\": \"Sourdough needs flour, water, salt and time.\"}\n"
		 "{\"id\": \"moon\", \"title\": \"Tides\", \"text\": \"The moon's gravity moves the oceans.\"}\n");
	add_long(&b, "two", 410, "");		/* 200, 200 and 10, which are dropped */
	add_long(&b, "three", 440, "The orchestra tuned its violins before the concert.");
	put("corpus.jsonl", b.data);
	buf_release(&b);
	put("queries.jsonl",
	    "{\"id\": \"1\", \"text\": \"where does the Danube end?\"}\n"
	    "{\"id\": \"2\", \"text\": \"how to bake bread\"}\n"
	    "{\"id\": \"3\", \"text\": \"musicians with string instruments before a concert\"}\n"
	    "{\"id\": \"4\", \"text\": \"not judged\"}\n");
	put("qrels.tsv", "query\tdocument\tgrade\n1\triver\t1\n2\tbread\t2\n3\tthree\t1\n");
}

static int count(void *arg, const struct progress_at *at)
{
	int *n = arg;

	(void)at;
	return (*n)-- == 0;
}

static void remove_all(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char file[1024];

	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (unlink(file) < 0)
			remove_all(file);
	}
	if (d)
		closedir(d);
	rmdir(path);
}

static void test_eval(struct embed *e, struct par *par)
{
	struct retrieval_opts o = RETRIEVAL_OPTS_INIT;
	struct retrieval_result r, again;
	struct progress p;
	char keep[128];
	int left = 2, before = -1;

	snprintf(keep, sizeof(keep), "%s/keep", dir);
	make();
	if (!is_int(retrieval_eval(&r, dir, e, &o), RAG_OK, "an evaluation"))
		return;
	is_int((long long)r.scores.n_docs, 5, "documents");
	is_int((long long)r.scores.n_queries, 3, "judged queries");
	is_int((long long)r.n_texts, 3 + 2 + 3 + 3, "windows of 200 tokens, none under 20");
	ok(r.scores.ndcg10 == 1 && r.scores.recall10 == 1 && r.scores.recall100 == 1,
	   "a document is found by its last window");
	is_int((long long)r.n_kept, 0, "nothing was kept before");

	o.keep = keep;
	o.par = par;
	is_int(retrieval_eval(&r, dir, e, &o), RAG_OK, "with a directory");
	is_int((long long)r.n_kept, 0, "which is empty");
	is_int(retrieval_eval(&again, dir, e, &o), RAG_OK, "and again");
	is_int((long long)again.n_kept, (long long)again.n_texts, "all vectors were kept");
	ok(!memcmp(&again.scores, &r.scores, sizeof(r.scores)), "the figures are the same");

	p.fn = count;
	p.arg = &left;
	o.progress = &p;
	is_int(retrieval_eval(&again, dir, e, &o), RAG_ECANCEL, "cancelled");
	p.arg = &before;
	is_int(retrieval_eval(&again, dir, e, &o), RAG_OK, "not cancelled");
	ok(before < -4, "progress was reported");
	put("qrels.tsv", "");
	is_int(retrieval_eval(&again, dir, e, &o), RAG_OK, "nothing is judged");
	ok(again.scores.n_queries == 0 && again.scores.ndcg10 == 0, "and nothing scored");
	is_int(retrieval_eval(&again, "no/such", e, &o), RAG_ENOENT, "no such set");
}

int main(void)
{
	const char *cache = getenv("RAGSTONE_CACHE"), *home = getenv("HOME");
	struct embed *e = NULL;
	struct par *par = NULL;
	char model[4096];

	snprintf(model, sizeof(model), "%s%s/models/all-minilm-l6-v2", cache ? cache : home ? home : "",
		 cache ? "" : "/.cache/ragstone");
	if (access(model, R_OK)) {
		tap_skip(1, "no model all-minilm-l6-v2 in the cache");
		return tap_done();
	}
	if (!mkdtemp(dir) || par_new(&par, 2)) {
		printf("Bail out! no temporary directory or threads\n");
		return 1;
	}
	if (ok(embed_open(&e, model, ENCODER_F32, par) == RAG_OK, "the embedder opens"))
		test_eval(e, par);
	embed_close(e);
	par_free(par);
	remove_all(dir);
	return tap_done();
}
