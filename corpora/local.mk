EXTRA_DIST += corpora/README.md corpora/MANIFEST corpora/questions.jsonl corpora/sample \
	corpora/make-articles corpora/make-manifest corpora/make-report
