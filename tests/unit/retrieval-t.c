/* Judged sets in stores and the figures from them, with an embedder of one layer. */
#include "config.h"
#include "tests/rag_util.h"

#include "base/buf.h"
#include "base/mem.h"
#include "src/eval/stores.h"
#include "src/eval/tune.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

static const char corpus[] =
	"{\"id\": \"a river\", \"title\": \"The sea\", \"text\": \"Rivers run to the sea.\"}\n"
	"{\"id\": \"twin1\", \"text\": \"Elephants like peanuts.\"}\n"
	"{\"id\": \"stone\", \"text\": \"Castles of stone.\"}\n"
	"{\"id\": \"twin2\", \"text\": \"Elephants like peanuts.\"}\n"
	"{\"id\": \"none\", \"title\": \" \", \"text\": \"\"}\n"
	"{\"id\": \"name\", \"title\": \"Rollo of the Normans\", \"text\": \"\"}\n";
static const char queries[] =
	"{\"id\": \"1\", \"text\": \"where do rivers run to\"}\n"
	"{\"id\": \"2\", \"text\": \"elephants\"}\n"
	"{\"id\": \"3\", \"text\": \"who was rollo\"}\n"
	"{\"id\": \"4\", \"text\": \"not judged\"}\n";
static const char qrels[] = "query\tdocument\tgrade\n1\ta river\t1\n2\ttwin2\t2\n3\tname\t1\n3\tnone\t1\n4\tstone\t0\n";

struct told {
	uint64_t ingested, stop_after;	/* ticks; documents, 0: never */
};

static int tell(void *arg, const struct rag_progress *p)
{
	struct told *t = arg;

	t->ingested += !strcmp(p->stage, "ingest");
	return t->stop_after && p->done >= t->stop_after && !strcmp(p->stage, "ingest");
}

static void put_set(const char *name, const char *docs)
{
	char path[128];

	mkdir(in_dir(name), 0700);
	snprintf(path, sizeof(path), "%s/corpus.jsonl", name);
	put(path, docs);
	snprintf(path, sizeof(path), "%s/queries.jsonl", name);
	put(path, queries);
	snprintf(path, sizeof(path), "%s/qrels.tsv", name);
	put(path, qrels);
}

/* Entries of a folder. */
static int entries(const char *path)
{
	DIR *d = opendir(path);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return d ? n - 2 : 0;
}

static struct stores_opts options(const char *keep, struct told *t)
{
	return (struct stores_opts){ .keep = keep, .model = "words", .models = models, .threads = 2,
				     .progress = tell, .progress_arg = t };
}

/* One variant on one set; out's run 0 is filled. */
static int measure(struct retrieval_set *out, const char *set, const char *mode, const char *keep,
		   struct told *t, FILE *ranking)
{
	struct stores_opts o = options(keep, t);
	struct variants v = { .n = 0 };
	struct stores *s = NULL;
	struct collection *c;
	int rc = retrieval_open(out, in_dir(set), true);

	if (!rc)
		rc = variants_add(&v, mode, CUT_DEFAULT);
	if (!rc)
		rc = stores_new(&s, &o);
	if (!rc)
		rc = stores_get(&c, s, out->judged, out->name, &v.v[0]);
	if (!rc)
		rc = retrieval_measure(&out->run[0], out, &v.v[0], c, ranking, tell, t);
	stores_free(s);
	variants_release(&v);
	return rc;
}

static double figure(const struct retrieval_set *s, enum metric m)
{
	return s->run[0].stats[m].mean;
}

/* "elephants" finds both twins alike: the hash of the id says which is first. */
static void test_figures(void)
{
	bool second_first = judged_tie("twin2") < judged_tie("twin1");
	double twin = second_first ? 1 : 1 / log2(3), name = 1 / (1 + 1 / log2(3));
	struct told t = { 0 };
	struct retrieval_set s;
	char line[256];
	size_t lines = 0;
	double last = INFINITY, score;
	bool good = true;
	FILE *f = fopen(in_dir("run"), "w+");

	put_set("set", corpus);
	if (!is_int(measure(&s, "set/", "dense", NULL, &t, f), RAG_OK, "a set is measured"))
		return;
	is_str(s.name, "set", "its name is the folder's");
	is_int((long long)s.n, 3, "queries with a relevant document");
	ok(fabs(figure(&s, NDCG10) - (1 + twin + name) / 3) < 1e-9, "nDCG@10");
	ok(fabs(figure(&s, RECALL10) - 2.5 / 3) < 1e-9, "recall: an empty document is not found");
	ok(fabs(figure(&s, MRR10) - (second_first ? 3 : 2.5) / 3) < 1e-9, "MRR@10");
	ok(s.run[0].stats[NDCG10].low <= figure(&s, NDCG10) && figure(&s, NDCG10) <= s.run[0].stats[NDCG10].high,
	   "within its interval");
	ok(s.run[0].ms_p50 > 0 && t.ingested, "it took time, and was told");
	ok(!entries(in_dir("tmp")), "the temporary store is gone");
	retrieval_close(&s);
	rewind(f);
	for (; fgets(line, sizeof(line), f); lines++) {
		char id[64];

		if (!strncmp(line, "2 ", 2))
			last = INFINITY;
		good &= sscanf(line, "%*s Q0 %63s %*u %lf dense", id, &score) == 2 &&
			(lines % 5 == 0 || score < last) && (lines || !strcmp(id, "a%20river"));
		last = score;
	}
	fclose(f);
	ok(good && lines == 15, "a ranking of five documents for each, scores falling, ids without spaces");
}

static void test_order(void)
{
	struct told t = { 0 };
	struct retrieval_set a, b;
	struct buf turned = BUF_INIT;

	for (const char *end = corpus + strlen(corpus) - 1, *p = end; p >= corpus; p--) {
		if (p == corpus || p[-1] == '\n') {
			buf_add(&turned, p, (size_t)(end - p) + 1);
			end = p - 1;
		}
	}
	put_set("turned", buf_str(&turned));
	buf_release(&turned);
	is_int(measure(&a, "set", "dense", NULL, &t, NULL), RAG_OK, "a set");
	is_int(measure(&b, "turned", "dense", NULL, &t, NULL), RAG_OK, "and its lines the other way round");
	ok(!memcmp(a.run[0].values, b.run[0].values, N_METRICS * a.n * sizeof(double)), "no figure differs");
	retrieval_close(&a);
	retrieval_close(&b);
}

static void put_many(const char *name, int n)
{
	struct buf b = BUF_INIT;

	buf_adds(&b, corpus);
	for (int i = 0; i < n; i++)
		buf_addf(&b, "{\"id\": \"more%d\", \"text\": \"The castles of leader %d.\"}\n", i, i);
	put_set(name, buf_str(&b));
	buf_release(&b);
}

static void test_kept(void)
{
	char keep[128];		/* in_dir()'s soon holds another */
	struct told t = { 0 }, none = { 0 }, stop = { .stop_after = 100 };
	struct retrieval_set s, again;

	snprintf(keep, sizeof(keep), "%s", in_dir("keep"));
	put_many("many", 300);
	is_int(measure(&s, "many", "dense", NULL, &stop, NULL), RAG_ECANCEL, "cancelled");
	retrieval_close(&s);
	ok(!entries(in_dir("tmp")), "the temporary store is gone too");
	is_int(measure(&s, "many", "dense", keep, &stop, NULL), RAG_ECANCEL, "cancelled where stores are kept");
	retrieval_close(&s);
	is_int(entries(keep), 1, "it is kept as far as it is");
	is_int(measure(&s, "many", "dense", keep, &t, NULL), RAG_OK, "it is gone on with");
	is_int(measure(&again, "many", "dense", keep, &none, NULL), RAG_OK, "and again");
	ok(t.ingested && !none.ingested, "now nothing is put in");
	ok(!memcmp(s.run[0].values, again.run[0].values, N_METRICS * s.n * sizeof(double)), "the figures are the same");
	retrieval_close(&again);
	is_int(measure(&again, "many", "dense", NULL, &t, NULL), RAG_OK, "in one go");
	ok(!memcmp(s.run[0].values, again.run[0].values, N_METRICS * s.n * sizeof(double)), "they are the same too");
	retrieval_close(&again);
	retrieval_close(&s);
	is_int(entries(keep), 1, "one store");
	put_many("many", 299);
	is_int(measure(&s, "many", "dense:chunks=sentences", keep, &t, NULL), RAG_OK, "another text, cut otherwise");
	retrieval_close(&s);
	is_int(entries(keep), 2, "is another store");
	is_int(measure(&s, "many", "dense:model=other-words", keep, &t, NULL), RAG_OK, "another embedder");
	retrieval_close(&s);
	is_int(entries(keep), 3, "another one");
}

/* A long text is found by the words at its end. */
static void test_windows(void)
{
	struct told t = { 0 };
	struct retrieval_set s;
	struct buf b = BUF_INIT;

	buf_adds(&b, "{\"id\": \"a river\", \"text\": \"");
	for (int i = 0; i < 300; i++)
		buf_adds(&b, i % 2 ? "castles " : "stone ");
	buf_adds(&b, "rivers run to where rivers run to where rivers run to where rivers run to where rivers "
		 "run.\"}\n{\"id\": \"none\", \"text\": \"castles\"}\n{\"id\": \"twin2\", \"text\": \"elephants\"}\n"
		 "{\"id\": \"stone\", \"text\": \"rivers and some castles of stone\"}\n"
		 "{\"id\": \"name\", \"text\": \"rollo\"}\n");
	put_set("long", buf_str(&b));
	buf_release(&b);
	is_int(measure(&s, "long", "dense", NULL, &t, NULL), RAG_OK, "a long document");
	ok(s.run[0].values[NDCG10 * s.n] == 1, "is found by its last window");
	retrieval_close(&s);
	is_int(measure(&s, "long", "dense:chunks=sentences", NULL, &t, NULL), RAG_OK, "cut as ingest cuts");
	ok(s.run[0].values[NDCG10 * s.n] == 1, "it is found as well");
	retrieval_close(&s);
}

/* Questions about the documents of a store that is there. */
static void test_own(void)
{
	struct told t = { 0 };
	char store[128];
	struct stores_opts o = options(store, &t);
	struct rag *r = open_store("own", "words");
	struct retrieval_set s;
	struct variants v = { .n = 0 };
	struct stores *all = NULL;
	struct collection *c = NULL;
	int rc;

	snprintf(store, sizeof(store), "%s", in_dir("own"));
	add(r, "note:sea", "Rivers run to the sea.");
	add(r, "note:more", "Castles of stone.");
	add(r, "note:elephants", elephants);
	rag_close(r);
	mkdir(in_dir("mine"), 0700);
	put("mine/queries.jsonl", queries);
	put("mine/qrels.tsv", "q\td\tg\n1\tnote:sea\t1\n2\t3\t1\n");
	o.own = true;
	if (!is_int(retrieval_open(&s, in_dir("mine"), false), RAG_OK, "questions without documents"))
		return;
	variants_add(&v, "dense", CUT_DEFAULT);
	rc = stores_new(&all, &o);
	if (!rc)
		rc = stores_get(&c, all, s.judged, s.name, &v.v[0]);
	if (is_int(rc, RAG_OK, "are about a store's")) {
		is_int((long long)collection_n_docs(c), 3, "which it has");
		is_int(retrieval_measure(&s.run[0], &s, &v.v[0], c, NULL, NULL, NULL), RAG_OK, "measured");
		ok(figure(&s, NDCG10) == 1, "by URI and by number");
	}
	retrieval_close(&s);
	stores_free(all);
	put("mine/qrels.tsv", "q\td\tg\n1\tnote:sea\t1\n2\tnote:no\t1\n");
	retrieval_open(&s, in_dir("mine"), false);
	rc = stores_new(&all, &o);
	if (!rc)
		rc = stores_get(&c, all, s.judged, s.name, &v.v[0]);
	is_int(rc, RAG_ENOENT, "one that it has not");
	ok(strstr(rag_error(), "qrels.tsv of 'mine': no document 'note:no'"), "is named");
	retrieval_close(&s);
	put("mine/qrels.tsv", "q\td\tg\n1\tnote:*\t1\n");
	retrieval_open(&s, in_dir("mine"), false);
	is_int(stores_get(&c, all, s.judged, s.name, &v.v[0]), RAG_EINVAL, "nor may one name be three");
	retrieval_close(&s);
	stores_free(all);
	variants_release(&v);
}

/* Names that the embedder does not know, and decoys that it likes: only words find them. */
static void put_names(void)
{
	struct buf docs = BUF_INIT, asked = BUF_INIT, grades = BUF_INIT;

	mkdir(in_dir("names"), 0700);
	buf_adds(&grades, "q\td\tg\n");
	for (int i = 0; i < 30; i++) {
		buf_addf(&docs, "{\"id\": \"d%d\", \"text\": \"Castles of stone near zq%dx.\"}\n", i, i);
		buf_addf(&asked, "{\"id\": \"q%d\", \"text\": \"was rollo the leader of zq%dx\"}\n", i, i);
		buf_addf(&grades, "q%d\td%d\t1\n", i, i);
	}
	for (int i = 0; i < 12; i++)
		buf_addf(&docs, "{\"id\": \"decoy%d\", \"text\": \"Rollo was the leader, sea %d.\"}\n", i, i);
	put("names/corpus.jsonl", buf_str(&docs));
	put("names/queries.jsonl", buf_str(&asked));
	put("names/qrels.tsv", buf_str(&grades));
	buf_release(&docs);
	buf_release(&asked);
	buf_release(&grades);
}

static void test_tune(void)
{
	struct told t = { 0 };
	struct stores_opts o = options(NULL, &t);
	struct variants v = { .n = 0 };
	struct stores *all = NULL;
	struct collection *c = NULL;
	struct retrieval_set s;
	struct tune tune, again;
	int rc;

	put_names();
	variants_add(&v, "fusion,dense", CUT_DEFAULT);
	rc = retrieval_open(&s, in_dir("names"), true);
	if (!rc)
		rc = stores_new(&all, &o);
	if (!rc)
		rc = stores_get(&c, all, s.judged, s.name, &v.v[0]);
	if (!rc)
		rc = rag_set_weight(collection_rag(c), .95);
	if (is_int(rc, RAG_OK, "a store whose vectors weigh too much")) {
		is_int(tune_weight(&tune, &s, &v.v[0], c, tell, &t), RAG_OK, "is tuned");
		ok(tune.best < .9 && tune.ndcg[0] > tune.ndcg[TUNE_WEIGHTS - 1], "to less");
		ok(fabs(tune.now - tune.ndcg[TUNE_WEIGHTS - 1]) < 1e-12, "its own weight is what was set");
		ok(tune.helps && tune.gain.low > 0 && tune.gain.mean <= 1 - tune.now + 1e-9, "which helps");
		is_int(rag_set_weight(collection_rag(c), tune.best), RAG_OK, "it is kept");
		is_int(tune_weight(&again, &s, &v.v[0], c, NULL, NULL), RAG_OK, "and tuned again");
		ok(!again.helps && again.best == tune.best && again.gain.mean <= 0, "there is nothing to gain any more");
		is_int(tune_weight(&again, &s, &v.v[1], c, NULL, NULL), RAG_EINVAL, "vectors alone have no weight");
	}
	retrieval_close(&s);
	stores_free(all);
	variants_release(&v);
}

static void test_variants(void)
{
	static const char *const bad[][2] = {
		{ "", "no search mode" }, { "best", "no search mode 'best'" }, { "dense,", "no search mode ''" },
		{ "fusion:weight=0", "weight=0 is not" }, { "fusion:weight=x", "weight=x" },
		{ "fusion:weight=1.5", "weight=1.5" }, { "hybrid:skip=all", "skip=all" },
		{ "dense:chunks=words", "no chunks 'words'" }, { "dense:chunks", "no setting 'chunks'" },
		{ "dense:size=3", "no setting 'size=3'" }, { "dense:chunks=document", "words alone" },
	};
	struct variants v = { .n = 0 };

	for (size_t i = 0; i < COUNT(bad); i++) {
		int rc = variants_add(&v, bad[i][0], CUT_DEFAULT);

		ok(rc == RAG_EINVAL && strstr(rag_error(), bad[i][1]), "'%s': %s", bad[i][0], bad[i][1]);
		variants_release(&v);
	}
	is_int(variants_add(&v, "bm25,hybrid:skip=late:weight=.5:model=a/b", CUT_DEFAULT), RAG_OK, "two modes");
	ok(v.n == 2 && v.v[0].cut == CUT_DOCUMENT && v.v[1].cut == CUT_WINDOWS && v.v[1].weight == .5 &&
	   v.v[1].skip == RAG_SKIP_LATE && !strcmp(v.v[1].model, "a/b"), "with their settings");
	ok(variant_words_alone(&v.v[0]) && !variant_words_alone(&v.v[1]), "the first needs no embedder");
	is_int(variants_add_to(&v, "chunks=windows:weight=.3", CUT_DEFAULT), RAG_OK, "the first otherwise set");
	ok(v.n == 3 && !strcmp(v.v[2].mode, "bm25") && v.v[2].weight == .3 && v.v[2].cut == CUT_WINDOWS, "keeps the rest");
	is_int(variants_stages(&v, CUT_DEFAULT), RAG_OK, "the stages");
	ok(v.n == 8 && v.v[6].skip == RAG_SKIP_SECOND && !strcmp(v.v[7].name, "+ second") && !v.v[7].skip &&
	   v.v[4].cut == CUT_WINDOWS, "are five, of one store");
	while (v.n < VARIANTS_MAX)
		variants_add(&v, "dense", CUT_DEFAULT);
	is_int(variants_add(&v, "dense", CUT_DEFAULT), RAG_ELIMIT, "there is an end");
	variants_release(&v);
}

/* Whatever allocation fails, the call does, and the temporary store goes. */
static void test_memory(void)
{
	struct told t = { 0 };
	struct retrieval_set s;
	unsigned long total, fails = 0, before = mem_count();
	bool good = true;

	if (!ok(!measure(&s, "set", "dense", NULL, &t, NULL), "a set again"))
		return;
	total = mem_count() - before;
	retrieval_close(&s);
	for (unsigned long n = 1; n < total; n += 1 + total / 97) {
		int rc;

		mem_fail_at(n);
		rc = measure(&s, "set", "dense", NULL, &t, NULL);
		mem_fail_at(0);
		fails += rc == RAG_ENOMEM;
		good &= rc == RAG_ENOMEM || rc == RAG_OK;
		retrieval_close(&s);
	}
	ok(good && fails > 40, "%lu of %lu allocations fail in turn", fails, total);
	ok(!entries(in_dir("tmp")), "nothing is left");
}

static void test_bad(void)
{
	struct told t = { 0 };
	struct retrieval_set s;
	struct variants v = { .n = 0 };
	struct tune tune;

	is_int(retrieval_open(&s, in_dir("no"), true), RAG_ENOENT, "no such set");
	retrieval_close(&s);
	put("set/qrels.tsv", "q\td\tg\n1\tstone\t0\n");
	is_int(retrieval_open(&s, in_dir("set"), true), RAG_EINVAL, "nothing is relevant");
	ok(strstr(rag_error(), "no query of"), "and that is said");
	retrieval_close(&s);
	put_set("set", corpus);
	is_int(measure(&s, "set", "dense:model=no-such", NULL, &t, NULL), RAG_ENOENT, "no such embedder");
	variants_add(&v, "fusion", CUT_DEFAULT);
	is_int(tune_weight(&tune, &s, &v.v[0], NULL, NULL, NULL), RAG_EINVAL, "three questions to tune on");
	ok(strstr(rag_error(), "20 are the least"), "are too few");
	variants_release(&v);
	retrieval_close(&s);
}

int main(void)
{
	if (!rag_setup()) {
		printf("Bail out! no temporary directory\n");
		return 1;
	}
	mkdir(in_dir("tmp"), 0700);
	setenv("TMPDIR", in_dir("tmp"), 1);
	test_figures();
	test_order();
	test_kept();
	test_windows();
	test_own();
	test_tune();
	test_variants();
	test_bad();
	put_set("set", corpus);
	test_memory();
	return rag_teardown();
}
