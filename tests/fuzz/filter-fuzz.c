/* Any expression: refused at a column within it, or answered, twice the same, and its
 * negation the opposite. */
#include "config.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "index/filter.h"

static int ask(const char *expr)
{
	static const struct store_doc doc = {
		.uri = "file:///a/docs/b%20c.md", .title = "A title", .type = "text/markdown",
		.labels = "lang=en,year=2020,a=b", .about = "author=A, B\ndate=2020-01-02\n",
		.source_size = 1234, .added = 1700000000, .source_mtime = 1600000000000000000,
	};
	struct filter *f;
	const char *at;
	bool yes;
	int rc = filter_parse(&f, expr, NULL);

	if (rc == RAG_EINVAL) {
		at = strrchr(err_msg(), ' ');	/* " at column N": the last word */
		if (strlen(expr) <= FILTER_MAX && (!at || !strtoul(at, NULL, 10) || strtoul(at, NULL, 10) > strlen(expr) + 1))
			abort();
		return rc;
	}
	if (rc)
		return rc;
	rc = filter_match(&yes, f, &doc);
	filter_free(f);
	return rc ? rc : yes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *expr = malloc(size + 8);
	int yes;

	if (!expr)
		return 0;
	memcpy(expr + 3, data, size);
	expr[size + 3] = 0;
	size = strlen(expr + 3);
	yes = ask(expr + 3);
	if (yes != ask(expr + 3))
		abort();
	memcpy(expr, "!( ", 3);
	strcpy(expr + size + 3, ")");
	if (yes >= 0 && size) {
		int no = ask(expr);

		/* a bare glob may take the parenthesis, and the depth may be at its end */
		if (no != !yes && no >= 0 && !strchr(expr + 2, '='))
			abort();
	}
	free(expr);
	return 0;
}
