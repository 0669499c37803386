/* Questions with known answers, asked of a set, with models of one layer. */
#include "config.h"
#include "tests/rag_util.h"

#include "src/eval/answers.h"
#include "src/eval/stores.h"

#include <math.h>
#include <sys/stat.h>

static const char corpus[] =
	"{\"id\": \"normans\", \"title\": \"Normans\", \"text\": \"Rollo was the leader of the Normans.\"}\n"
	"{\"id\": \"say \\\"hi\\\"\", \"text\": \"Elephants like peanuts.\"}\n";
static const char queries[] =
	"{\"id\": \"1\", \"text\": \"Who was the leader of the Normans?\", \"answers\": [\"Rollo\", \"The leader\"]}\n"
	"{\"id\": \"2\", \"text\": \"Where do elephants run?\", \"answerable\": false, \"written_for\": \"say \\\"hi\\\"\"}\n"
	"{\"id\": \"3\", \"text\": \"The leader of the Normans was who?\", \"answers\": [\"Someone else\"]}\n"
	"{\"id\": \"4\", \"text\": \"Castles of stone?\", \"answers\": [\"stone\"]}\n"
	"{\"id\": \"5\", \"text\": \"Not a question of this kind\"}\n";
static const char qrels[] = "query\tdocument\tgrade\n1\tnormans\t1\n3\tnormans\t1\n4\tsay \"hi\"\t1\n";

struct told {
	uint64_t last, total, stop_at;	/* stop_at: questions done; 0: never */
};

static int tell(void *arg, const struct rag_progress *p)
{
	struct told *t = arg;

	if (strcmp(p->stage, "answer"))
		return 0;
	t->last = p->done;
	t->total = p->total;
	return t->stop_at && p->done >= t->stop_at;
}

static struct stores_opts store_options(void)
{
	return (struct stores_opts){ .model = "words", .models = models, .threads = 1 };
}

static struct judged *judged;
static struct collection *collection;

static struct answers_opts options(const char *log, struct told *t)
{
	return (struct answers_opts){ .set = "set", .log = log, .asked = "by the test", .ask = RAG_ASK_OPTS_INIT,
				      .progress = tell, .progress_arg = t };
}

static bool is_figure(const struct answers *a, enum answers_figure f, size_t n, double mean)
{
	bool good = ok(a->counts[f] == n && fabs(a->stats[f].mean - mean) < 1e-9, "%s", figure_names[f]);

	if (!good)
		printf("# %g of %zu\n", a->stats[f].mean, a->counts[f]);
	return good;
}

/* "Rollo was the leader." twice (for 1 exact words of both wanted ones are in it, for 3 none); no passage
 * is near to what 2 and 4 ask for, and then none is used. */
static void check(const struct answers *a)
{
	is_int((long long)a->n, 4, "questions");
	is_int((long long)a->n_unknown, 1, "one has no answer to be known");
	is_int((long long)a->n_answerable, 3, "answerable");
	is_int((long long)a->n_abstained, 2, "abstained");
	is_figure(a, EXACT, 3, 0);
	is_figure(a, F1, 3, 2.0 / 4 / 3);
	is_figure(a, CONTAINS, 3, 1.0 / 3);
	is_figure(a, SUPPORTED, 3, 1.0 / 3);
	is_figure(a, FOUND, 3, 2.0 / 3);
	is_figure(a, ABSTENTION_PRECISION, 2, 0.5);
	is_figure(a, ABSTENTION_RECALL, 1, 1);
}

static void test_answers(void)
{
	struct told t = { 0 };
	struct answers_opts o = options(NULL, &t);
	struct answers a;

	if (is_int(answers_run(&a, judged, collection, &o), RAG_OK, "questions are asked"))
		check(&a);
	ok(t.total == 4 && a.seconds_p50 > 0, "and told of");
	answers_release(&a);
	o.most = 2;
	is_int(answers_run(&a, judged, collection, &o), RAG_OK, "two of them");
	ok(a.n == 2 && judged_tie(judged_query_at(judged, a.v[0].query).id) <
			       judged_tie(judged_query_at(judged, a.v[1].query).id), "by the hash of their ids");
	answers_release(&a);
	o.most = 0;
	o.gold = true;
	is_int(answers_run(&a, judged, collection, &o), RAG_OK, "of the documents they were written for");
	is_figure(&a, FOUND, 3, 2.0 / 3);
	is_figure(&a, CONTAINS, 3, 1.0 / 3);
	answers_release(&a);
}

static void test_log(void)
{
	char log[128], line[4096];
	struct told t = { 0 }, stop = { .stop_at = 2 };
	struct answers_opts o = options(log, &stop);
	struct answers a;
	size_t lines = 0;
	FILE *f;

	snprintf(log, sizeof(log), "%s", in_dir("log.jsonl"));
	is_int(answers_run(&a, judged, collection, &o), RAG_ECANCEL, "cancelled before the third");
	answers_release(&a);
	f = fopen(log, "a");
	fputs("{\"id\": \"4\", \"answer\": \"cut in the mid", f);
	fclose(f);
	o = options(log, &t);
	is_int(answers_run(&a, judged, collection, &o), RAG_OK, "gone on with");
	is_int((long long)a.n_before, 2, "behind the two");
	check(&a);
	answers_release(&a);
	is_int(answers_run(&a, judged, collection, &o), RAG_OK, "once more");
	is_int((long long)a.n_before, 4, "all are there");
	check(&a);
	answers_release(&a);
	f = fopen(log, "r");
	while (f && fgets(line, sizeof(line), f))
		lines++;
	if (f)
		fclose(f);
	is_int((long long)lines, 5, "a line each, and the first");
	o.asked = "otherwise";
	is_int(answers_run(&a, judged, collection, &o), RAG_EFORMAT, "a log of other answers");
	answers_release(&a);
	put("log.jsonl", "{\"asked\": \"by the test\"}\nnot JSON\n");
	o.asked = "by the test";
	is_int(answers_run(&a, judged, collection, &o), RAG_EFORMAT, "a damaged log");
	ok(strstr(rag_error(), "log.jsonl', line 2") != NULL, "its line is named");
	answers_release(&a);
	put("log.jsonl", "{\"asked\": \"by the test\"}\n"
	    "{\"id\": \"1\", \"question\": \"Who was another?\", \"answer\": \"Rollo\"}\n"
	    "{\"id\": \"3\", \"question\": \"The leader of the Normans was who?\", \"answer\": \"old\"}\n"
	    "{\"id\": \"3\", \"question\": \"The leader of the Normans was who?\", \"error\": \"too long\"}\n"
	    "{\"id\": \"9\", \"question\": \"gone\", \"answer\": \"Rollo\"}\n");
	is_int(answers_run(&a, judged, collection, &o), RAG_OK, "a log of other and of changed questions");
	ok(a.n_before == 1 && a.n_failed == 1, "the last line about ours counts");
	answers_release(&a);
	o.log = in_dir("no/such.jsonl");
	is_int(answers_run(&a, judged, collection, &o), RAG_EIO, "a log that cannot be written");
	answers_release(&a);
}

static void test_none(void)
{
	struct told t = { 0 };
	struct answers_opts o = options(NULL, &t);
	struct judged *none = NULL;
	struct answers a;

	put("set/queries.jsonl", "{\"id\": \"1\", \"text\": \"What?\"}\n");
	put("set/qrels.tsv", "q\td\tg\n1\tnormans\t1\n");
	if (!ok(!judged_open(&none, in_dir("set"), true), "a set without answers"))
		return;
	is_int(answers_run(&a, none, collection, &o), RAG_EINVAL, "cannot be measured");
	ok(strstr(rag_error(), "no question of 'set' has \"answers\""), "and says why");
	answers_release(&a);
	judged_close(none);
}

int main(void)
{
	struct stores_opts so = store_options();
	struct variants v = { .n = 0 };
	struct stores *stores = NULL;

	if (!rag_setup()) {
		printf("Bail out! no temporary directory\n");
		return 1;
	}
	setenv("RAGSTONE_MODEL", "tiny", 1);
	mkdir(in_dir("set"), 0700);
	put("set/corpus.jsonl", corpus);
	put("set/queries.jsonl", queries);
	put("set/qrels.tsv", qrels);
	if (ok(!judged_open(&judged, in_dir("set"), true) && !variants_add(&v, "dense", CUT_SENTENCES) &&
	       !stores_new(&stores, &so) && !stores_get(&collection, stores, judged, "set", &v.v[0]),
	       "a set in a store")) {
		test_answers();
		test_log();
		test_none();
	}
	stores_free(stores);
	variants_release(&v);
	judged_close(judged);
	return rag_teardown();
}
