/* What documents say of themselves, in the store. */
#include "config.h"
#include "tests/tap.h"
#include "tests/store_util.h"

/* Publishes a document that says `about`; its outcome, or a failure's code. */
static int put_about(struct store_writer *w, const char *about)
{
	struct stage_doc sd = { .uri = "file:///a.md", .title = "A", .labels = "lang=en", .about = about };
	struct stage_result r;
	struct stage *st;
	int rc = stage_begin(&st, w, &sd);

	if (rc)
		return rc;
	rc = stage_text(st, "text", 4);
	if (!rc)
		rc = store_publish(&r, w, &st, 1);
	stage_free(st);
	return rc ? rc : (int)r.outcome;
}

static void test_about(void)
{
	static const char *const bad[] = { "a", "a=b", "=b\n", "a=b\nc\n", "a=b\n\n" };
	char dir[128];
	struct store *s;
	struct store_writer *w;
	struct store_snap *v;
	struct store_doc d;

	strcpy(dir, tmp_dir());
	is_int(open_pair(&s, &w, dir, 0), RAG_OK, "a store for metadata");
	is_int(put_about(w, NULL), STAGE_ADDED, "a document that says nothing");
	is_int(put_about(w, ""), STAGE_UNCHANGED, "is the same with an empty one");
	is_int(put_about(w, "author=A, B\ntags=a=b\n"), STAGE_REPLACED, "and another with metadata");
	is_int(put_about(w, "author=A, B\ntags=a=b\n"), STAGE_UNCHANGED, "the same again");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_int(put_about(w, bad[i]), RAG_EINVAL, "no lines of key=value");
	is_int(store_snap(&v, s), RAG_OK, "a snapshot");
	is_int(store_doc_by_uri(&d, v, "file:///a.md"), RAG_OK, "has the document");
	is_str(d.about, "author=A, B\ntags=a=b\n", "and what it says");
	is_str(d.labels, "lang=en", "beside its labels");
	store_snap_end(v);
	is_int(store_verify(s, NULL, NULL), RAG_OK, "and is sound");
	is_int(put_about(w, NULL), STAGE_REPLACED, "it says nothing any more");
	store_write_end(w);
	store_close(s);
	rm_tree(dir);
}

int main(void)
{
	test_about();
	return tap_done();
}
