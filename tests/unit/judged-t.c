#include "config.h"
#include "tests/tap.h"

#include "base/mem.h"
#include "src/eval/judged.h"

#include <stdlib.h>
#include <unistd.h>

static char dir[] = "judged-t.XXXXXX";

static const char corpus[] =
	"{\"id\": \"d1\", \"title\": \"One\", \"text\": \"first\"}\n"
	"\n"
	"{\"id\": \"d0\", \"text\": \"no title\", \"more\": [1]}\n"
	"{\"id\": \"d2\", \"title\": \"\", \"text\": \"third\"}";
static const char queries[] =
	"{\"id\": \"qa\", \"text\": \"what?\", \"answers\": [\"this\", \"that\"], \"written_for\": \"d2\"}\n"
	"{\"id\": \"qb\", \"text\": \"unanswerable?\", \"answerable\": false}\n"
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

static void test_set(void)
{
	struct judged *j;
	const struct judged_grade *g;
	struct judged_query q;
	struct judged_doc d;

	put_all();
	if (!ok(judged_open(&j, dir, true) == RAG_OK, "a set opens"))
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
	ok(judged_tie("d0") != judged_tie("d1"), "ties are broken by the id");
	is_int((long long)judged_grades(&g, j, 2), 2, "judgements of a query");
	ok(g[0].doc == 0 && g[0].grade == 3 && g[1].doc == 2 && g[1].grade == 1, "by document");
	is_int(judged_grade_of(j, 0, 1), 2, "a grade");
	is_int(judged_grade_of(j, 0, 2), 0, "of what is not judged");
	q = judged_query_at(j, 0);
	ok(q.n_answers == 2 && !strcmp(q.answers[1], "that") && q.answerable && q.written_for == 2,
	   "answers, and what it was written for");
	q = judged_query_at(j, 1);
	ok(!q.n_answers && !q.answerable && q.written_for == -1, "a question that nothing answers");
	judged_close(j);
}

static void test_damage(void)
{
	static const struct { const char *file, *text; int rc; const char *says; } all[] = {
		{ "corpus.jsonl", "{\"id\": \"a\", \"text\": \"b\"}\n{\"id\"\n", RAG_EFORMAT, "corpus.jsonl', line 2, column" },
		{ "corpus.jsonl", "{\"id\": 1, \"text\": \"b\"}\n", RAG_EFORMAT, "corpus.jsonl', line 1: no strings" },
		{ "corpus.jsonl", "[1]\n", RAG_EFORMAT, "line 1: no strings" },
		{ "corpus.jsonl", "{\"id\": \"\", \"text\": \"b\"}\n", RAG_EFORMAT, "line 1: the \"id\" is empty" },
		{ "corpus.jsonl", "{\"id\": \"a\\u0000b\", \"text\": \"b\"}\n", RAG_EFORMAT, "line 1: a control character" },
		{ "corpus.jsonl", "{\"id\": \"a\\tb\", \"text\": \"b\"}\n", RAG_EFORMAT, "line 1: a control character" },
		{ "corpus.jsonl", "{\"id\": \"d1\", \"text\": \"\"}\n\n{\"id\": \"d1\", \"text\": \"\"}", RAG_EFORMAT,
		  "line 3: two documents 'd1', the other in line 1" },
		{ "corpus.jsonl", "\n\r\n", RAG_EFORMAT, "no document in" },
		{ "corpus.jsonl", "\xff\n", RAG_EFORMAT, "corpus.jsonl', line 1" },
		{ "queries.jsonl", "{\"id\": \"qa\"}\n", RAG_EFORMAT, "queries.jsonl', line 1: no strings" },
		{ "queries.jsonl", "{\"id\": \"q\", \"text\": \"a\"}\n{\"id\": \"q\", \"text\": \"a\"}", RAG_EFORMAT,
		  "line 2: two queries 'q', the other in line 1" },
		{ "queries.jsonl", "{\"id\": \"q\", \"text\": \" \\n\"}\n", RAG_EFORMAT, "line 1: the text is empty of query q" },
		{ "queries.jsonl", "{\"id\": \"q\", \"text\": \"a\", \"answers\": \"b\"}\n", RAG_EFORMAT, "line 1: \"answers\" is no list" },
		{ "queries.jsonl", "{\"id\": \"q\", \"text\": \"a\", \"answers\": [\"b\", 1]}\n", RAG_EFORMAT, "line 1: an answer is no string" },
		{ "queries.jsonl", "", RAG_EFORMAT, "no query in" },
		{ "qrels.tsv", "h\nqa d0 1\n", RAG_EFORMAT, "qrels.tsv', line 2: not query" },
		{ "qrels.tsv", "h\nqa\td0\tx\n", RAG_EFORMAT, "line 2: no grade: x" },
		{ "qrels.tsv", "h\nqa\td0\t1\nqx\td0\t1\n", RAG_EFORMAT, "line 3: no such query: qx" },
		{ "qrels.tsv", "h\nqa\tdx\t1\n", RAG_EFORMAT, "line 2: no such document: dx" },
		{ "qrels.tsv", "qa\tdx\t1\n", RAG_EFORMAT, "line 1: no such document: dx" },
		{ "qrels.tsv", "h\nqa\td0\t1\nqa\td0\t2\n", RAG_EFORMAT,
		  "line 3: query 'qa' has document 'd0' twice, the other time in line 2" },
		{ "qrels.tsv", "h\nqa\td0\t99999999999999999999\n", RAG_EFORMAT, "no grade" },
		{ "qrels.tsv", "", RAG_OK, "" },
	};
	char path[256];
	struct judged *j;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int rc;

		put_all();
		put(all[i].file, all[i].text);
		j = NULL;
		err_clear();
		rc = judged_open(&j, dir, true);
		judged_close(j);
		if (!ok(rc == all[i].rc && strstr(err_msg(), all[i].says), "%s: %s", all[i].file,
			all[i].says))
			printf("# %d, %s\n", rc, err_msg());
	}
	put_all();
	snprintf(path, sizeof(path), "%s/qrels.tsv", dir);
	unlink(path);
	is_int(judged_open(&j, dir, true), RAG_ENOENT, "a missing file");
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
		rc = judged_open(&j, dir, true);
		mem_fail_at(0);
		judged_close(j);
	}
	ok(rc == RAG_OK && n > 20, "each of %lu allocations may fail", n - 2);
}

static void test_own(void)
{
	struct judged *j;
	char path[256];

	put_all();
	put("qrels.tsv", "h\nqc\tnote:2\t1\nqa\tnote:1\t2\nqa\tnote:2\t1\n");
	snprintf(path, sizeof(path), "%s/corpus.jsonl", dir);
	unlink(path);
	is_int(judged_open(&j, dir, true), RAG_ENOENT, "a corpus that is missing");
	if (!ok(judged_open(&j, dir, false) == RAG_OK, "and not asked for"))
		return;
	is_int((long long)judged_n_docs(j), 2, "documents are those that are named");
	ok(judged_find(j, "note:2") == 1 && judged_grade_of(j, 0, 1) == 1 && judged_grade_of(j, 2, 1) == 1,
	   "each once");
	judged_close(j);
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
	test_own();
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
		unlink(path);
	}
	is_int(rmdir(dir), 0, "nothing is left behind");
	return tap_done();
}
