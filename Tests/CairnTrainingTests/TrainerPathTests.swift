// SPDX-License-Identifier: Apache-2.0
/// Checkpoint paths: what templates write, and what is refused before training.

import CairnTraining
import Foundation
import Testing

@Suite struct TrainerPathTests {
    static let context = PathContext(
        epoch: 4, step: 120, monitor: 0.42, monitorName: "val_loss", epochLoss: 3,
        validationLoss: 1e-5, improved: true)

    @Test(arguments: [
        ("ck/latest.bin", "ck/latest.bin"), ("ck/%{epoch}/", "ck/4/"), ("%{epoch}", "4"),
        ("%{next_epoch}", "5"),
        ("%{monitor}", "0.42"), ("%{monitor_name}", "val_loss"), ("%{epoch_loss}", "3.0"),
        ("%{improved}", "true"), ("%{step}", "120"), ("%{val_loss}", "1e-05"),
        ("a%%b-%{epoch}", "a%b-4"), ("%<epoch>03d", "004"), ("%<step>-6d|", "120   |"),
        ("%<epoch>+d", "+4"), ("%<epoch> d", " 4"), ("%<epoch>.3d", "004"),
        ("%<monitor>.3f", "0.420"), ("%<monitor>08.2f", "00000.42"),
        ("%<epoch_loss>.2e", "3.00e+00"), ("%<monitor>g", "0.42"), ("%<epoch>5s", "    4"),
        ("%<monitor_name>.3s", "val"), ("%<epoch>.1f", "4.0"),
    ])
    func `a template writes its values`(template: String, expected: String) throws {
        #expect(try PathTemplate(template).path(Self.context) == expected)
    }

    @Test(arguments: [
        (Double.nan, "nan"), (.infinity, "inf"), (-.infinity, "-inf"), (-0.0, "-0.0"),
    ])
    func `a monitor that is no finite number is spelled out`(value: Double, text: String) throws {
        var context = Self.context
        context.monitor = value

        #expect(try PathTemplate("m-%{monitor}").path(context) == "m-\(text)")
    }

    @Test func `no value is written as none, in any width`() throws {
        var context = Self.context
        context.monitor = nil

        #expect(try PathTemplate("%{monitor}").path(context) == "none")
        #expect(try PathTemplate("%<monitor>08.3f").path(context) == "    none")
    }

    @Test(arguments: [
        ("ep-%{epok}.bin", "there is no placeholder 'epok', did you mean 'epoch'?"),
        ("ep-%d.bin", "'%' begins no placeholder"), ("ep-%", "'%' begins no placeholder"),
        ("ep-%05{epoch}", "'%' begins no placeholder"),
        ("ep-%{epoch", "never closed with '}'"), ("%<epoch>03", "must end in one of d, f, e, g, s"),
        ("%<monitor>d", "must end in one of f, e, g, s, found 'd'"),
        ("%<improved>f", "must end in one of s, found 'f'"),
        ("%<epoch>999d", "at most 255 characters wide"), ("../%{epoch}", "'..' leads out"),
        ("a/../../%{epoch}", "'..' leads out"), ("ck//", "it names no file"),
        ("/", "names no file"), ("", "names no file"),
    ])
    func `weakness 24: a template that cannot be used is refused with its place`(
        template: String, reason: String
    ) {
        let found = message { _ = try PathTemplate(template) }

        #expect(found.contains(reason), "\(found)")
        #expect(found.contains("character "), "\(found)")
    }

    @Test func `a value with a slash leaves no directory`() throws {
        var context = Self.context
        context.monitorName = "val/loss"

        let found = message { _ = try PathTemplate("ck/%{monitor_name}.bin").path(context) }

        #expect(found.contains("'val/loss', with a '/'"))
    }

    @Test(arguments: [("ck/a/ep-%{epoch}", "ck/a"), ("ep-%{epoch}", "."), ("/x-%{epoch}", "/")])
    func `the directory of a template is what stands before its placeholders`(
        template: String, directory: String
    ) throws {
        #expect(try PathTemplate(template).directory == directory)
    }

    // MARK: Through a trainer

    private func refusal(
        _ path: CheckpointPath, _ change: (inout FitOptions) -> Void = { _ in }
    ) throws -> (text: String, steps: Int) {
        let run = try ScriptedRun()
        let text = message {
            try run.trainer.fit(Feed([1, 2])) {
                $0.checkpointPath = path
                change(&$0)
            }
        }
        return (text, run.learner.step)
    }

    @Test func `a template whose epochs share a path is refused before training`() throws {
        let found = try refusal("ck/%{monitor}.bin")

        #expect(found.text.contains("two epochs can give one path; add %{epoch}"))
        #expect(found.steps == 0)
    }

    @Test func `saves within epochs need the step in the path`() throws {
        let found = try refusal("ck/%{epoch}.bin") { $0.saveEverySteps = 1 }

        #expect(found.text.contains("two steps of an epoch can give one path; add %{step}"))
        #expect(found.steps == 0)
    }

    @Test func `weakness 23: an extension that comes from a number is refused before training`()
        throws
    {
        let found = try refusal("ck/ep-%{epoch}-%{monitor}")

        #expect(found.text.contains("'5' is no format"), "\(found.text)")
        #expect(found.steps == 0)
    }

    @Test func `an absolute template is refused where a directory is given`() throws {
        let found = try refusal("/ck/%{epoch}.bin") {
            $0.checkpointDirectory = URL(fileURLWithPath: "/somewhere")
        }

        #expect(found.text.contains("it is absolute, but a directory is given"))
    }

    @Test func `a monitor name with a slash is refused before training`() throws {
        let found = try refusal("ck/%{epoch}-%{monitor_name}.bin") { $0.monitorName = "a/b" }

        #expect(found.text.contains("with a '/'"))
        #expect(found.steps == 0)
    }

    @Test func `two epochs that a precision folds into one path are refused`() throws {
        let run = try ScriptedRun()

        let text = message {
            try run.trainer.fit(Feed([1])) {
                $0.epochs = 2
                $0.checkpointPath = run.path("e%<epoch>.0s.bin")
            }
        }

        #expect(text.contains("an earlier checkpoint of this run has this path"))
    }

    @Test func `a closure that names a path outside of the directory is refused`() throws {
        let run = try ScriptedRun()

        let text = message {
            try run.trainer.fit(Feed([1])) {
                $0.checkpointDirectory = run.folder.url
                $0.checkpointPath = .chosen { _ in "../x.bin" }
            }
        }

        #expect(text.contains("'..' leads out of the directory"))
    }
}
