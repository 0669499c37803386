#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "src/eval/judged.h"
#include "src/eval/kept.h"

#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "judged-t.XXXXXX";

static const char corpus[] =
	"{\"id\": \"d1\", \"title\": \"One\", \"text\": \"first\"}\n"
	"\n"
	"{\"id\": \"d0\", \"text\": \"no title\", \"more\": [1]}\n"
	"{\"id\": \"d2\", \"title\": \"\", \"text\": \"third\"}";
static const char queries[] =
	"{\"id\": \"qa\", \"text\": \"what?\"}\n"
	"{\"id\": \"qb\", \"text\": \"unanswerable?\"}\n"
	"{\"id\": \"qc\", \"text\": \"all?\"}\n";
static const char qrels[] =
	"query_id\tdoc_id\trelevance\n"
	"qc\td2\t1\n"
	"qa\td0\t2\r\n"
	"qc\td1\t3\n"
	"qb\td1\t0\n";

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

static void put_all(void)
{
	put("corpus.jsonl", corpus);
	put("queries.jsonl", queries);
	put("qrels.tsv", qrels);
}

/* Ranks d2, d1, d0 for every query: documents 2, 0, 1. */
static int rank(void *arg, size_t query, struct judged_hit *hits, size_t *n, size_t max)
{
	unsigned *asked = arg;

	*asked |= 1u << query;
	*n = max < 3 ? max : 3;
	for (size_t i = 0; i < *n; i++)
		hits[i] = (struct judged_hit){ (size_t[]){ 2, 0, 1 }[i], 1 - 0.1f * (float)i };
	return RAG_OK;
}

/* The same, but all of one score. */
static int rank_tied(void *arg, size_t query, struct judged_hit *hits, size_t *n, size_t max)
{
	rank(arg, query, hits, n, max);
	for (size_t i = 0; i < *n; i++)
		hits[i].score = 1;
	return RAG_OK;
}

static int refuse(void *arg, size_t query, struct judged_hit *hits, size_t *n, size_t max)
{
	(void)arg, (void)query, (void)hits, (void)n, (void)max;
	return err_set(RAG_EIO, "refused");
}

static void test_set(void)
{
	struct judged *j;
	struct judged_doc d;
	struct judged_scores s;
	unsigned asked = 0;

	put_all();
	if (!ok(judged_open(&j, dir) == RAG_OK, "a set opens"))
		return;
	is_int((long long)judged_n_docs(j), 3, "documents");
	is_int((long long)judged_n_queries(j), 3, "queries");
	d = judged_doc_at(j, 0);
	is_str(d.title, "One", "a title");
	d = judged_doc_at(j, 1);
	is_str(d.id, "d0", "documents keep their order");
	is_str(d.title, "", "no title is an empty one");
	ok(d.text_len == 8 && !strcmp(d.text, "no title"), "text");
	is_int(judged_find(j, "d2"), 2, "found by id");
	is_int(judged_find(j, "d3"), -1, "not found");
	is_int((long long)judged_query_at(j, 1).n_relevant, 0, "grade 0 is not relevant");
	is_int((long long)judged_query_at(j, 2).n_relevant, 2, "two are");
	ok(judged_tie(j, 0) != judged_tie(j, 1), "ties are broken by the id");

	is_int(judged_run(&s, j, rank, &asked, NULL), RAG_OK, "run");
	is_int(asked, 5, "only queries with a relevant document are asked");
	is_int((long long)s.n_queries, 2, "and counted");
	/* qa: d0 third: 2/log2(4) over 2 = 0.5.  qc: 1 + 3/log2(3) over 3 + 1/log2(3) */
	ok(fabs(s.ndcg10 - (0.5 + (1 + 3 * 0.630929753571) / (3 + 0.630929753571)) / 2) < 1e-9,
	   "nDCG@10 is the mean");
	ok(fabs(s.recall10 - 1) < 1e-9 && fabs(s.recall100 - 1) < 1e-9, "recall");
	is_int(judged_run(&s, j, rank_tied, &asked, NULL), RAG_OK, "all of one score");
	/* every rank is worth the mean: qa 2/3, qc 4/3 */
	ok(fabs(s.ndcg10 - (2 / 3.0 / 2 + 4 / 3.0 / (3 + 0.630929753571)) * 2.130929753571 / 2) < 1e-9,
	   "nDCG@10 is the mean over all orders");
	is_int(judged_run(&s, j, refuse, NULL, NULL), RAG_EIO, "the ranking's failure is passed up");
	judged_close(j);
}

static void test_damage(void)
{
	static const struct { const char *file, *text; int rc; const char *says; } all[] = {
		{ "corpus.jsonl", "{\"id\": \"a\", \"text\": \"b\"}\n{\"id\"\n", RAG_EFORMAT, "record 2" },
		{ "corpus.jsonl", "{\"id\": 1, \"text\": \"b\"}\n", RAG_EFORMAT, "corpus.jsonl', line 1: no strings" },
		{ "corpus.jsonl", "[1]\n", RAG_EFORMAT, "line 1: no strings" },
		{ "corpus.jsonl", "{\"id\": \"d1\", \"text\": \"\"}\n{\"id\": \"d1\", \"text\": \"\"}", RAG_EFORMAT, "two documents 'd1'" },
		{ "queries.jsonl", "{\"id\": \"qa\"}\n", RAG_EFORMAT, "queries.jsonl', line 1: no strings" },
		{ "queries.jsonl", "{\"id\": \"q\", \"text\": \"\"}\n{\"id\": \"q\", \"text\": \"\"}", RAG_EFORMAT, "two queries 'q'" },
		{ "qrels.tsv", "h\nqa d0 1\n", RAG_EFORMAT, "qrels.tsv', line 2: not query" },
		{ "qrels.tsv", "h\nqa\td0\tx\n", RAG_EFORMAT, "line 2: no grade: x" },
		{ "qrels.tsv", "h\nqa\td0\t1\nqx\td0\t1\n", RAG_EFORMAT, "line 3: no such query: qx" },
		{ "qrels.tsv", "h\nqa\tdx\t1\n", RAG_EFORMAT, "line 2: no such document: dx" },
		{ "qrels.tsv", "h\nqa\td0\t1\nqa\td0\t2\n", RAG_EFORMAT, "document 'd0' twice" },
		{ "qrels.tsv", "h\nqa\td0\t99999999999999999999\n", RAG_EFORMAT, "no grade" },
		{ "qrels.tsv", "", RAG_OK, "" },
		{ "corpus.jsonl", "", RAG_EFORMAT, "no such document" },
	};
	char path[256];
	struct judged *j;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int rc;

		put_all();
		put(all[i].file, all[i].text);
		j = NULL;
		err_clear();
		rc = judged_open(&j, dir);
		judged_close(j);
		if (!ok(rc == all[i].rc && strstr(err_msg(), all[i].says), "%s: %s", all[i].file,
			all[i].says))
			printf("# %d, %s\n", rc, err_msg());
	}
	put_all();
	snprintf(path, sizeof(path), "%s/qrels.tsv", dir);
	unlink(path);
	is_int(judged_open(&j, dir), RAG_ENOENT, "a missing file");
	ok(strstr(err_msg(), "qrels.tsv") != NULL, "is named");
}

static void test_memory(void)
{
	unsigned long n;
	int rc = RAG_ENOMEM;

	put_all();
	for (n = 1; rc == RAG_ENOMEM && n < 200; n++) {
		struct judged *j = NULL;

		mem_fail_at(n);
		rc = judged_open(&j, dir);
		mem_fail_at(0);
		judged_close(j);
	}
	ok(rc == RAG_OK && n > 20, "each of %lu allocations may fail", n - 2);
}

static void hash_of(uint8_t out[HASH_LEN], int i)
{
	hash_bytes(out, &i, sizeof(i));
}

static void test_kept(void)
{
	uint8_t print[HASH_LEN] = { 0xab, 1 }, hash[HASH_LEN];
	char sub[128], path[256];
	float v[3], w[3];
	struct kept *k;
	FILE *f;
	bool all = true;

	snprintf(sub, sizeof(sub), "%s/vectors", dir);
	snprintf(path, sizeof(path), "%s/eval-ab01000000000000.vectors", sub);
	ok(!kept_open(&k, sub, print, 3) && !kept_save(k), "nothing to save");
	ok(access(path, F_OK) < 0, "makes no file");
	for (int i = 0; i < 100; i++) {
		hash_of(hash, i);
		all = all && !kept_get(v, k, hash) &&
		      !kept_put(k, hash, (float[]){ (float)i, -0.0f, 1.0f / 3 });
	}
	ok(all, "100 vectors put");
	is_int(kept_save(k), RAG_OK, "saved");
	kept_close(k);

	is_int(kept_open(&k, sub, print, 3), RAG_OK, "opened again");
	for (int i = 0; i < 100; i++) {
		hash_of(hash, i);
		v[0] = (float)i;
		v[1] = -0.0f;
		v[2] = 1.0f / 3;
		all = all && kept_get(w, k, hash) && !memcmp(v, w, sizeof(v));
	}
	ok(all, "all are there, bit for bit");
	hash_of(hash, 100);
	ok(!kept_get(w, k, hash), "another is not");
	is_int(kept_put(k, hash, v), RAG_OK, "it is put");
	is_int(kept_put(k, hash, v), RAG_OK, "twice");
	is_int(kept_save(k), RAG_OK, "saved beside the old ones");
	kept_close(k);
	kept_open(&k, sub, print, 3);
	ok(kept_get(w, k, hash), "new");
	hash_of(hash, 5);
	ok(kept_get(w, k, hash) && w[0] == 5, "and old");
	kept_close(k);

	print[20] = 9;	/* of the same file name */
	ok(!kept_open(&k, sub, print, 3) && !kept_get(w, k, hash), "another embedder's are not taken");
	kept_close(k);
	print[20] = 0;
	ok(!kept_open(&k, sub, print, 4) && !kept_get(w, k, hash), "nor another dimension's");
	kept_close(k);
	f = fopen(path, "r+b");
	fseek(f, 999, SEEK_SET);
	fputc(0x55, f);
	fclose(f);
	ok(!kept_open(&k, sub, print, 3) && !kept_get(w, k, hash), "nor a damaged file's");
	is_int(kept_put(k, hash, v), RAG_OK, "which is replaced");
	ok(!kept_save(k), "by the next save");
	kept_close(k);
	ok(!kept_open(&k, sub, print, 3) && kept_get(w, k, hash), "and good again");
	kept_close(k);
	is_int(truncate(path, 60), 0, "cut");
	ok(!kept_open(&k, sub, print, 3) && !kept_get(w, k, hash), "a short file is no harm");
	kept_close(k);
	snprintf(sub, sizeof(sub), "%s/no/such", dir);
	is_int(kept_open(&k, sub, print, 3), RAG_EIO, "a directory that cannot be made");
	unlink(path);
	snprintf(sub, sizeof(sub), "%s/vectors", dir);
	rmdir(sub);
}

int main(void)
{
	static const char *const files[] = { "corpus.jsonl", "queries.jsonl", "qrels.tsv" };
	char path[256];

	if (!mkdtemp(dir)) {
		printf("Bail out! no temporary directory\n");
		return 1;
	}
	test_set();
	test_damage();
	test_memory();
	test_kept();
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	is_int(rmdir(dir), 0, "nothing is left behind");
	return tap_done();
}
