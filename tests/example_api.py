"""The Python API in one page: a small study, its front, one model, and why it decides as it does.

Run it with: python tests/example_api.py
"""

import safr_study as ss


def main() -> None:
    study = ss.search("planted:redundant", study="example", space="smoke", trials=4, epochs=2)
    front = study.pareto().query("front == 0")
    print(
        front[["trial", "label", "accuracy", "srs_30", "knee", "compromise"]].to_string(index=False)
    )
    print(f"hypervolume {study.hypervolume:.1f}")

    model = study.model()
    # The built-in corpus has words of its own: fillers, distractors, and three cues of the class.
    text = "f0000 f0036 cue1_19 f0013 dis08 cue1_07 f0002 f0001 cue1_18 f0020"
    explained = model.explain(text)
    print(f"{explained.prediction}: {explained.probabilities}")
    print(explained.words.nlargest(3, "capacity").to_string(index=False))
    print(
        model.predict([text, "f0013 cue0_02 f0001"])[["label", "probability"]].to_string(
            index=False
        )
    )

    try:
        ss.load("models:/safr-nothing@knee")
    except ss.BadInput as error:
        print(f"as expected: {error}")


if __name__ == "__main__":
    main()
