"""What Python gets is what the attacks promise; gradients are PyTorch's, where it is installed."""

import pathlib
import unittest

import numpy as np

import robin

RNG = np.random.default_rng(0)
IMAGES = RNG.random((12, 1, 6, 6), dtype=np.float32)
FIXTURES = pathlib.Path(__file__).parents[2] / "crates" / "import" / "fixtures"


def mlp(seed=0, classes=4, inputs=36, width=8):
    """A state_dict of the architecture `mlp`."""
    rng = np.random.default_rng(seed)
    shapes = {"fc1": (width, inputs), "fc2": (width, width), "fc3": (classes, width)}
    tensors = {}
    for name, shape in shapes.items():
        tensors[f"{name}.weight"] = rng.normal(0, shape[1] ** -0.5, shape).astype(np.float32)
        tensors[f"{name}.bias"] = np.zeros(shape[0], np.float32)
    return tensors


def logits(tensors, images):
    values = images.reshape(len(images), -1)
    for name in ["fc1", "fc2", "fc3"]:
        values = values @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]
        values = np.maximum(values, 0) if name != "fc3" else values
    return values


class Attacks(unittest.TestCase):
    def setUp(self):
        self.net = mlp()
        self.labels = logits(self.net, IMAGES).argmax(1)

    def attack(self, **settings):
        return robin.attack(self.net, "mlp", IMAGES, self.labels, **{"epsilon": 0.1, **settings})

    def test_what_is_broken_is_broken_and_within_the_budget(self):
        found = self.attack(epsilon="0.2", steps=20)
        self.assertEqual(found.images.shape, IMAGES.shape)
        self.assertLessEqual(np.abs(found.images - IMAGES).max(), 0.2 + 1e-6)
        self.assertTrue((found.images >= 0).all() and (found.images <= 1).all())
        np.testing.assert_array_equal(logits(self.net, found.images).argmax(1), found.predictions)
        np.testing.assert_array_equal(found.misclassified, found.predictions != self.labels)
        self.assertEqual(found.accuracy, 1 - found.misclassified.mean())
        self.assertGreater(found.misclassified.sum(), 3)
        self.assertEqual(found.clean_accuracy, 1)
        self.assertIn("withstand it", repr(found))

    def test_results_depend_on_neither_batches_nor_threads(self):
        found = [self.attack(batch_size=size, threads=threads) for size, threads in [(128, 2), (5, 1)]]
        np.testing.assert_array_equal(found[0].images, found[1].images)

    def test_every_attack_runs(self):
        for name, line in robin.attacks().items():
            for norm in line.get("norms", ["linf", "l2"]):
                steps = {"steps": 3} if "steps" in line.get("settings", {}) else {}
                if name == "square":
                    steps = {"queries": 20}
                if name != "autoattack":
                    self.assertIsInstance(self.attack(attack=name, norm=norm, **steps), robin.Found)

    def test_evaluation_is_the_union_and_says_what_broke_each(self):
        wrong = self.labels.copy()
        wrong[0] = (wrong[0] + 1) % 4
        found = robin.evaluate(self.net, "mlp", IMAGES, wrong, epsilon=0.15, attacks=["fgsm", "pgd", "square"])
        self.assertEqual(found.misclassified_by[0], "clean")
        self.assertEqual(found.clean_accuracy, 11 / 12)
        self.assertEqual([by is not None for by in found.misclassified_by], found.misclassified.tolist())
        single = robin.attack(self.net, "mlp", IMAGES, wrong, epsilon=0.15, attack="fgsm")
        self.assertTrue((found.misclassified >= single.misclassified).all())

    def test_arms_are_joined(self):
        arms = [mlp(seed, classes=2) for seed in range(3)]
        odds = [logits(arm, IMAGES) for arm in arms]
        labels = np.stack([z[:, 1] - z[:, 0] for z in odds], 1).argmax(1)
        for strategy in ["softmax", "best-arm", "top2"]:
            found = robin.attack(arms, "mlp", IMAGES, labels, aggregate="one-vs-all", strategy=strategy, epsilon=0.2)
            self.assertEqual(found.clean_accuracy, 1)
            self.assertGreater(found.misclassified.sum(), 0)

    def test_onnx_is_read(self):
        images = RNG.random((4, 3, 48, 48), dtype=np.float32)
        found = robin.attack(FIXTURES / "resnet-small.onnx", None, images, np.zeros(4, int), epsilon="8/255", steps=3)
        self.assertEqual(len(found.predictions), 4)

    def test_mistakes_say_what_to_do(self):
        for settings, said in [
            ({"attack": "pdg"}, "attack \"pdg\" is unknown"),
            ({"step": 3}, "has no setting step (it has: steps"),
            ({"epsilon": "8/256x"}, "8/256x"),
            ({"norm": "l1"}, "l1"),
            ({"strategy": "best-arm"}, "has none"),
            ({"attack": "cw"}, "measures in l2"),
            ({"loss": "dlr-t:9", "norm": "linf", "attack": "fab-t", "strategy": "top2"}, "top2"),
            ({"mean": [0.5]}, "go together"),
            ({"threads": 0}, "threads is 0"),
        ]:
            with self.assertRaises(ValueError) as raised:
                self.attack(**settings)
            self.assertIn(said, str(raised.exception))
        for images, labels, error, said in [
            (IMAGES * 255, self.labels, ValueError, "divide bytes by 255"),
            (IMAGES[0], self.labels, TypeError, "float32 [n, c, h, w]"),
            (IMAGES, self.labels * 1.0, TypeError, "integers [n]"),
            (IMAGES, self.labels + 4, ValueError, "the model has 4 classes"),
            (IMAGES, self.labels[:3], ValueError, "3 labels for 12 images"),
            (IMAGES[:0], self.labels[:0], ValueError, "no images"),
        ]:
            with self.assertRaises(error) as raised:
                robin.attack(self.net, "mlp", images, labels, epsilon=0.1)
            self.assertIn(said, str(raised.exception))
        del self.net["fc2.weight"]
        with self.assertRaises(ValueError) as raised:
            self.attack()
        self.assertIn("fc2.weight", str(raised.exception))


class BesidePyTorch(unittest.TestCase):
    def test_the_first_step_is_along_pytorchs_gradient(self):
        try:
            import torch
        except ImportError:
            self.skipTest("PyTorch is not installed")
        net = {name: torch.tensor(value, requires_grad=True) for name, value in mlp().items()}
        images = torch.tensor(IMAGES, requires_grad=True)
        values = images.flatten(1)
        for name in ["fc1", "fc2", "fc3"]:
            values = torch.nn.functional.linear(values, net[f"{name}.weight"], net[f"{name}.bias"])
            values = values.relu() if name != "fc3" else values
        labels = values.argmax(1)
        torch.nn.functional.cross_entropy(values, labels, reduction="sum").backward()
        step = (images + 0.05 * images.grad.sign()).clamp(0, 1).detach().numpy()
        # Tensors as they are, tracked ones too.
        found = robin.attack(net, "mlp", images, labels, epsilon=0.05, attack="fgsm")
        # FGSM's step is the last point; where the clean image has the higher loss, that is the better one.
        same = np.abs(found.images - step).max((1, 2, 3)) < 1e-5
        self.assertTrue(same.all(), same)


if __name__ == "__main__":
    unittest.main()
